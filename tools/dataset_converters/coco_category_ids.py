#!/usr/bin/env python
"""Renumber a folder of COCO masks or pseudo labels between the 80 classes and the 90 category ids.

    python tools/dataset_converters/coco_category_ids.py SRC DST --to classes
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

import numpy as np
from rich.progress import track

from mmwsss.datasets.coco import category_ids_to_classes, classes_to_category_ids
from mmwsss.datasets.map_files import read_label_map, write_label_map
from mmwsss.utils.errors import run_tool

DIRECTIONS = {'classes': category_ids_to_classes, 'category-ids': classes_to_category_ids}


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('src', help='folder of index PNGs')
    parser.add_argument('dst', help='folder for the new ones')
    parser.add_argument('--to', choices=sorted(DIRECTIONS), required=True,
                        help='classes: category ids become 0 to 80; category-ids: 0 to 80 become category ids')
    return parser.parse_args()


def main() -> None:
    """Renumber all files."""
    args = parse_args()
    renumber(Path(args.src), Path(args.dst), DIRECTIONS[args.to])


def renumber(src: Path, dst: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Renumber the masks of a folder into another folder."""
    paths = sorted(src.glob('*.png'))
    if not paths:
        raise FileNotFoundError(f'{src} has no PNG')
    if dst.resolve() == src.resolve():
        raise ValueError(f'{dst} is the folder of the masks: write to another folder')
    for path in track(paths, description='renumbering'):
        try:
            write_label_map(change(read_label_map(path)), dst / path.name)
        except ValueError as error:
            raise ValueError(f'{path}: {error}') from error


if __name__ == '__main__':
    run_tool(main)
