#!/usr/bin/env python
"""Run all stages of a recipe: ``python tools/run_recipe.py RECIPE``.

Every stage is an ordinary command, and is printed. What is done is skipped; what was stopped goes on where it was.
"""

import argparse
import signal
import sys
from pathlib import Path

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

from rich.console import Console

from mmwsss.recipes import (
    Place,
    RecipeError,
    RecipeRunner,
    Tools,
    num_processes,
    read_recipe,
    rich_table,
    shortened,
)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Run all stages of a recipe and write a report')
    parser.add_argument('recipe', help='recipe file; one of mmwsss may be named as configs/... from any folder')
    parser.add_argument('--data-root', metavar='DIR', help="data set in place of the configs' own")
    parser.add_argument('--out', metavar='DIR', help='folder for everything (default: work_dirs/<method>_<recipe>)')
    parser.add_argument('--gpus', type=int, metavar='N',
                        help='processes of every training, one per GPU; the global batch stays (default: 1, and 2 on '
                        'a CPU with several cores)')
    parser.add_argument('--from', dest='start', metavar='STAGE', help='do this stage and all that follow anew')
    parser.add_argument('--only', nargs='+', default=[], metavar='STAGE', help='run these stages and no others')
    parser.add_argument('--short', action='store_true',
                        help='a few images and iterations where the recipe says so, to see that all of it runs')
    parser.add_argument('--dry-run', action='store_true', help='print stages and commands, run nothing')
    return parser.parse_args()


def make_place(args: argparse.Namespace) -> Place:
    """Collect what the stages share."""
    recipe = read_recipe(args.recipe)
    if args.short:
        recipe = shortened(recipe)
    out = Path(args.out or Path('work_dirs', recipe.name + ('_short' if args.short else '')))
    root = Path(__file__).resolve().parents[1]
    data_root = args.data_root or (str(out / 'sample') if args.short else None)
    return Place(recipe, out.absolute(), Tools(root, num_processes(args.gpus)), data_root)


def main() -> None:
    """Run what the command line describes."""
    args = parse_args()
    console = Console()
    place = make_place(args)
    runner = RecipeRunner(place, console)
    if args.dry_run:
        runner.preview(args.start, args.only)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an exception, so that commands are ended
    records = runner.run(args.start, args.only)
    console.print(rich_table(place.recipe, records))
    console.print(f'report: {place.out / "report.md"}, {place.out / "report.html"}', soft_wrap=True)


if __name__ == '__main__':
    try:
        main()
    except (RecipeError, ValueError, FileNotFoundError) as error:  # of the command line or the recipe
        sys.exit(f'{type(error).__name__}: {error}')
    except KeyboardInterrupt:
        sys.exit(130)
