#!/usr/bin/env python
"""Check the papers' claims on photographs: ``python tools/run_claims.py --data-root DATA``.

Runs the recipes in ``configs/claims`` with several seeds, writes the results of each to a small JSON file, and all
claims with their verdicts to a page. The same command again resumes. Without ``--data-root``, only the page is written.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

from rich.console import Console

from mmwsss.recipes import (
    Recipe,
    RecipeContext,
    RecipeRunner,
    claim_recipe_name,
    parse_seeds,
    read_recipe,
    read_runs,
    repeat_for_seeds,
    write_claims_page,
    write_run,
)
from mmwsss.utils import closest
from mmwsss.utils.cli import add_verbose_argument
from mmwsss.utils.commands import ToolCommands, default_num_processes
from mmwsss.utils.errors import run_tool

ROOT = Path(__file__).resolve().parents[1]


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data-root', metavar='DATA',
                        help='photographs in VOC layout with masks and classes.txt (default: none, and nothing is run)')
    parser.add_argument('--only', nargs='+', default=[], metavar='NAME', help='run only these recipes (default: all)')
    parser.add_argument('--seeds', default='0,1,2', metavar='0,1,2', help='seeds (default: 0,1,2)')
    parser.add_argument('--out', default='work_dirs/claims', metavar='DIR',
                        help='folder of the outputs, one folder a recipe (default: work_dirs/claims)')
    parser.add_argument('--recipes', default='configs/claims', metavar='DIR',
                        help='folder of the recipes (default: configs/claims)')
    parser.add_argument('--reports', default='docs/reports/claims', metavar='DIR',
                        help='folder of the JSON files (default: docs/reports/claims)')
    parser.add_argument('--page', default='docs/claims.md', metavar='FILE',
                        help='the page to write (default: docs/claims.md)')
    parser.add_argument('--gpus', type=int, metavar='N', help='number of processes, as for run_recipe.py')
    parser.add_argument('--collect', action='store_true',
                        help='run nothing; write the results of the stages that are finished')
    parser.add_argument('--dry-run', action='store_true', help='print stages and commands without running them')
    add_verbose_argument(parser)
    return parser.parse_args()


def read_recipes(folder: str) -> dict[str, Recipe]:
    """Read all recipes in a folder by name.

    Raises:
        FileNotFoundError: There is none.
    """
    base = Path(folder) if Path(folder).is_dir() else ROOT / folder
    paths = sorted(base.glob('recipe_*.py'))
    if not paths:
        raise FileNotFoundError(f'{folder} has no recipe_*.py')
    shown = [str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path) for path in paths]
    recipes = [read_recipe(path) for path in shown]
    return {claim_recipe_name(recipe): recipe for recipe in recipes}


def choose(recipes: dict[str, Recipe], only: Sequence[str]) -> dict[str, Recipe]:
    """Return the recipes that the command line names, or all.

    Raises:
        ValueError: There is no recipe of a name.
    """
    for name in only:
        if name not in recipes:
            raise ValueError(f'--only: no recipe {name!r}{closest(name, recipes)}; there are {", ".join(recipes)}')
    return {name: recipe for name, recipe in recipes.items() if not only or name in only}


def run_recipe(name: str, recipe: Recipe, args: argparse.Namespace, console: Console) -> None:
    """Run a recipe with all seeds, or nothing with ``--collect``, and write the results of what is finished."""
    recipe = repeat_for_seeds(recipe, parse_seeds(args.seeds))
    tools = ToolCommands(ROOT, default_num_processes(args.gpus))
    runner = RecipeRunner(RecipeContext(recipe, Path(args.out, name).absolute(), tools, args.data_root), console)
    if args.dry_run:
        runner.preview()
        return
    try:
        if not args.collect:
            runner.run()
    finally:
        records = runner.records()
        if records:
            write_run(Path(args.reports, f'{name}.json'), recipe, records,
                      dict(data=Path(args.data_root).resolve().name))


def run(args: argparse.Namespace) -> None:
    """Run what the command line names, and write the page."""
    console = Console()
    recipes = read_recipes(args.recipes)
    chosen = choose(recipes, args.only)
    if args.only and not args.data_root:
        raise ValueError('--only runs recipes on photographs: give their folder with --data-root')
    for name, recipe in chosen.items() if args.data_root else ():
        console.rule(f'[bold]{name}')
        run_recipe(name, recipe, args, console)
    if not args.dry_run:
        write_claims_page(args.page, list(recipes.values()), read_runs(args.reports))
        console.print(f'page: {args.page}', soft_wrap=True)


def main() -> None:
    """Run the command line."""
    run(parse_args())


if __name__ == '__main__':
    run_tool(main)
