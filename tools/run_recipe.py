#!/usr/bin/env python
"""Run all stages of a recipe: ``python tools/run_recipe.py RECIPE``.

Each stage is an ordinary command, which is printed. Finished stages are skipped; interrupted stages resume. The exit
code is 0 on success, 1 if the command of a stage failed, 2 if the recipe or the command line is wrong, and 130 or 143
after SIGINT or SIGTERM.
"""

import argparse
from pathlib import Path

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

from rich.console import Console

from mmwsss.recipes import (
    RecipeContext,
    RecipeRunner,
    read_recipe,
    recipe_context,
    results_table,
    shorten_recipe,
    spread_table,
)
from mmwsss.utils.cli import add_verbose_argument
from mmwsss.utils.errors import run_tool


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Run all stages of a recipe and write a report')
    parser.add_argument('recipe', help='recipe file; a recipe of mmwsss may be named as configs/... from any folder')
    parser.add_argument('--data-root', metavar='DIR', help='data set that replaces that of the configs')
    parser.add_argument('--out', metavar='DIR', help='folder of all outputs (default: work_dirs/<method>_<recipe>)')
    parser.add_argument('--gpus', type=int, metavar='N',
                        help='number of processes, one per GPU; the total batch size stays the same (default: 1, or 2 '
                        'on a CPU with several cores)')
    parser.add_argument('--seeds', metavar='0,1,2',
                        help='repeat the trainings, and the stages that use them, with these seeds; report the mean '
                        'and the spread')
    parser.add_argument('--from', dest='start', metavar='STAGE', help='run this stage and all later ones again')
    parser.add_argument('--only', nargs='+', default=[], metavar='STAGE', help='run only these stages')
    parser.add_argument('--short', action='store_true',
                        help='train for one epoch or four iterations on a few images, to check that everything runs')
    parser.add_argument('--dry-run', action='store_true', help='print stages and commands without running them')
    add_verbose_argument(parser)
    return parser.parse_args()


def build_context(args: argparse.Namespace) -> RecipeContext:
    """Read the recipe, and build the context of its stages."""
    recipe = read_recipe(args.recipe)
    if args.short:
        recipe = shorten_recipe(recipe)
    return recipe_context(recipe, Path(__file__).resolve().parents[1], args)


def run(args: argparse.Namespace) -> None:
    """Run the recipe that the command line names."""
    console = Console()
    context = build_context(args)
    runner = RecipeRunner(context, console)
    if args.dry_run:
        runner.preview(args.start, args.only)
        return
    records = runner.run(args.start, args.only)
    console.print(results_table(context.recipe, records))
    spread = spread_table(context.recipe, records)
    if spread is not None:
        console.print(spread)
    console.print(f'report: {context.work_dir / "report.md"}, {context.work_dir / "report.html"}', soft_wrap=True)


def main() -> None:
    """Run the command line."""
    run(parse_args())


if __name__ == '__main__':
    run_tool(main)
