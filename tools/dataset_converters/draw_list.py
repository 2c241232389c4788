#!/usr/bin/env python
"""Draw image ids from a list at random, in the order of the list.

Example:
    python tools/dataset_converters/draw_list.py train.txt --num 90 --out photos.txt
"""

import argparse
import random
from pathlib import Path

from mmwsss.datasets import read_ids
from mmwsss.utils import atomic_path
from mmwsss.utils.errors import run_tool


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('list', type=Path, help='list of image ids, one a line')
    parser.add_argument('--num', type=int, required=True, metavar='N', help='number of ids to draw')
    parser.add_argument('--seed', type=int, default=0, metavar='S', help='seed of the random numbers (default: 0)')
    parser.add_argument('--out', type=Path, required=True, metavar='TXT', help='list to write')
    return parser.parse_args()


def draw_ids(ids: list[str], num: int, seed: int) -> list[str]:
    """Draw ids without replacement.

    Args:
        ids: The list.
        num: How many to draw; all if the list has no more.
        seed: Seed of the random numbers.

    Returns:
        The drawn ids in the order of the list.

    Raises:
        ValueError: ``num`` is less than 1.
    """
    if num < 1:
        raise ValueError(f'--num must be at least 1, got {num}')
    chosen = set(random.Random(seed).sample(ids, min(num, len(ids))))
    return [image_id for image_id in ids if image_id in chosen]


def main() -> None:
    """Draw and write."""
    args = parse_args()
    if args.out.resolve() == args.list.resolve():
        raise ValueError(f'--out {args.out} would replace the list: write to another file')
    ids = draw_ids(list(read_ids(args.list)), args.num, args.seed)
    with atomic_path(args.out) as tmp:
        tmp.write_text(''.join(f'{image_id}\n' for image_id in ids), encoding='utf-8')
    print(f'{len(ids)} ids in {args.out}')


if __name__ == '__main__':
    run_tool(main)
