#!/usr/bin/env python
"""Copy the report of a recipe to a folder of the documentation, its figures as small JPEGs.

Example:
    python tools/analysis_tools/publish_report.py work_dirs/toco_recipe_sample docs/reports/toco_sample
"""

import argparse
import re
from pathlib import Path

from PIL import Image
from rich.console import Console

from mmwsss.utils import atomic_path
from mmwsss.utils.errors import run_tool

FIGURE = re.compile(r'\]\((figures/[^)]+)\)')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('out', type=Path, help='folder of a recipe, with report.md')
    parser.add_argument('destination', type=Path, help='folder for report.md and the figures; made if missing')
    parser.add_argument('--width', type=int, default=640, metavar='PX',
                        help='largest width of a figure (default: 640)')
    return parser.parse_args()


def shrink(source: Path, target: Path, width: int) -> None:
    """Write a figure as JPEG, no wider than ``width`` pixels."""
    with Image.open(source) as image:
        image = image.convert('RGB')
        image.thumbnail((width, image.height))
        with atomic_path(target) as tmp:
            image.save(tmp, 'JPEG', quality=75, optimize=True)


def publish(out: Path, destination: Path, width: int) -> list[Path]:
    """Copy a report.

    Args:
        out: Folder of a recipe.
        destination: Folder in the documentation.
        width: Largest width of a figure in pixels.

    Returns:
        The files that were written, the report first.

    Raises:
        FileNotFoundError: There is no report, or a figure is missing.
    """
    report = out / 'report.md'
    if not report.is_file():
        raise FileNotFoundError(f'no report {report}: tools/run_recipe.py writes it after every stage')
    text = report.read_text(encoding='utf-8')
    destination.mkdir(parents=True, exist_ok=True)
    written = []
    for name in sorted(set(FIGURE.findall(text))):
        target = destination / f'{Path(name).stem}.jpg'
        shrink(out / name, target, width)
        text = text.replace(f']({name})', f']({target.name})')
        written.append(target)
    with atomic_path(destination / 'report.md') as tmp:
        tmp.write_text(text, encoding='utf-8')
    return [destination / 'report.md', *written]


def main() -> None:
    """Publish the report that the command line names."""
    args = parse_args()
    written = publish(args.out, args.destination, args.width)
    total = sum(path.stat().st_size for path in written)
    Console().print(f'{len(written)} files in {args.destination}, {total / 2**10:.0f} KiB', highlight=False)


if __name__ == '__main__':
    run_tool(main)
