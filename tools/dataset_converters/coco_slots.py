#!/usr/bin/env python
"""Renumber a folder of COCO masks or pseudo labels between the 80 classes and the 90 category ids.

    python tools/dataset_converters/coco_slots.py SRC DST --to classes
"""

import argparse
from pathlib import Path

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

import numpy as np
from PIL import Image
from rich.progress import track

from mmwsss.datasets.coco import classes_to_slots, slots_to_classes
from mmwsss.datasets.map_files import write_label_map

WAYS = dict(classes=slots_to_classes, slots=classes_to_slots)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('src', help='folder of index PNGs')
    parser.add_argument('dst', help='folder for the new ones')
    parser.add_argument('--to', choices=sorted(WAYS), required=True,
                        help='classes: category ids become 0 to 80; slots: 0 to 80 become category ids')
    return parser.parse_args()


def main() -> None:
    """Renumber all files."""
    args = parse_args()
    paths = sorted(Path(args.src).glob('*.png'))
    if not paths:
        raise FileNotFoundError(f'{args.src} has no PNG')
    Path(args.dst).mkdir(parents=True, exist_ok=True)
    for path in track(paths, description='renumbering'):
        with Image.open(path) as picture:
            mask = np.asarray(picture)
        write_label_map(WAYS[args.to](mask), Path(args.dst, path.name))


if __name__ == '__main__':
    main()
