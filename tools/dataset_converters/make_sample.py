"""Make the generated sample set (VOC layout) that the sample configs train on.

Example:
    python tools/dataset_converters/make_sample.py data/sample
"""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mmwsss.sample_set import SAMPLE_CLASSES, summarize_labels, write_sample_set
from mmwsss.sample_set.sheet import contact_sheet
from mmwsss.utils.errors import run_tool
from mmwsss.utils.files import atomic_path


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('out_dir', type=Path, help='folder to make; a finished set is not redone')
    parser.add_argument('--num-train', type=int, default=600, help='training images')
    parser.add_argument('--num-val', type=int, default=150, help='validation images')
    parser.add_argument('--seed', type=int, default=0, help='same seed, same bytes')
    parser.add_argument('--nproc', type=int, default=None, help='processes (default: one per core)')
    parser.add_argument('--sheet', type=Path, default=None, help='also write a contact sheet (image file)')
    return parser.parse_args()


def show_progress(items: Iterable, total: int) -> Iterable:
    """Wrap an iterable in a progress bar."""
    return track(items, description='drawing', total=total)


def summary_table(out_dir: Path) -> Table:
    """Build the table of images per class and split."""
    labels = json.loads((out_dir / 'image_labels.json').read_text(encoding='utf-8'))['labels']
    summary = summarize_labels(labels)
    table = Table('', *summary, title=str(out_dir))
    table.add_row('images', *(str(row['images']) for row in summary.values()))
    table.add_row('labels per image', *(f'{row["labels_per_image"]:.2f}' for row in summary.values()))
    for name in SAMPLE_CLASSES[1:]:
        table.add_row(name, *(str(row['classes'][name]) for row in summary.values()))
    return table


def main() -> None:
    """Make the set and print what is in it."""
    args = parse_args()
    console = Console()
    made = write_sample_set(args.out_dir, args.num_train, args.num_val, args.seed, args.nproc, show_progress)
    sheet = contact_sheet(args.out_dir) if args.sheet else None
    console.print('made' if made else 'already there, nothing to do')
    console.print(summary_table(args.out_dir))
    if args.sheet:
        with atomic_path(args.sheet) as work:
            Image.fromarray(sheet).save(work, quality=80)


if __name__ == '__main__':
    run_tool(main)
