"""Draw the classification set that the small backbones of the sample configs are pretrained on.

Example:
    python -m projects.sample_backbones.make_pretraining_set data/sample_pretrain
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.progress import track

from mmwsss.utils.errors import run_tool

from .pretraining_set import PRETRAINING_CLASSES, write_pretraining_set


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('out_dir', type=Path, help='folder to make; a finished set is not redone')
    parser.add_argument('--train-per-class', type=int, default=300, help='training images per class')
    parser.add_argument('--val-per-class', type=int, default=10, help='validation images per class')
    parser.add_argument('--side', type=int, default=64, help='edge of the pictures in pixels')
    parser.add_argument('--fill', type=float, nargs=2, default=(0.5, 0.95), metavar=('LOW', 'HIGH'),
                        help='limits of the size of the object, as shares of the edge')
    parser.add_argument('--seed', type=int, default=1, help='same seed, same bytes')
    parser.add_argument('--nproc', type=int, default=None, help='processes (default: one per core)')
    return parser.parse_args()


def show_progress(items: Iterable, total: int) -> Iterable:
    """Wrap an iterable in a progress bar."""
    return track(items, description='drawing', total=total)


def main() -> None:
    """Make the set and print its content."""
    args = parse_args()
    console = Console()
    made = write_pretraining_set(args.out_dir, args.train_per_class, args.val_per_class, args.side, args.seed,
                              args.nproc, show_progress, tuple(args.fill))
    console.print(f'{args.out_dir}: {"made" if made else "already there"}; {len(PRETRAINING_CLASSES)} classes, '
                  f'{args.train_per_class} train and {args.val_per_class} val images each', soft_wrap=True)


if __name__ == '__main__':
    run_tool(main)
