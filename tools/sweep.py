#!/usr/bin/env python
"""Run a sweep, such as the ablation of a paper's table: ``python tools/sweep.py SWEEP``.

Each run of the sweep repeats stages of a recipe with other settings. Finished stages are skipped and interrupted ones
resume, as in ``run_recipe.py``. One table has all runs. The exit codes are those of ``run_recipe.py``.
"""

import argparse
import sys
from pathlib import Path

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

from dataclasses import replace

from rich.console import Console

from mmwsss.recipes import (
    RecipeContext,
    RecipeError,
    RecipeRunner,
    StageError,
    Sweep,
    read_sweep,
    recipe_context,
    shorten_recipe,
    sweep_rows,
    sweep_table,
    write_sweep,
)
from mmwsss.utils.cli import add_verbose_argument
from mmwsss.utils.errors import run_tool


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Run stages of a recipe with a grid of settings; write one table')
    parser.add_argument('sweep', help='sweep file; one of mmwsss may be named as configs/... from any folder')
    parser.add_argument('--data-root', metavar='DIR', help='data set that replaces that of the configs')
    parser.add_argument('--out', metavar='DIR', help='folder of all outputs (default: work_dirs/<method>_<sweep>)')
    parser.add_argument('--gpus', type=int, metavar='N',
                        help='number of processes, one per GPU; the total batch size stays the same (default: 1, or 2 '
                        'on a CPU with several cores)')
    parser.add_argument('--seeds', metavar='0,1,2', help='repeat each run with these seeds; the table has the mean and '
                        'the standard deviation')
    parser.add_argument('--only', nargs='+', default=[], metavar='RUN', help='run only these runs of the sweep')
    parser.add_argument('--keep-going', action='store_true', help='go on with the other runs after one has failed')
    parser.add_argument('--short', action='store_true',
                        help='train for one epoch or four iterations on a few images, to check that everything runs')
    parser.add_argument('--dry-run', action='store_true', help='print stages and commands without running them')
    add_verbose_argument(parser)
    return parser.parse_args()


def build_context(args: argparse.Namespace) -> tuple[Sweep, RecipeContext]:
    """Read the sweep, and build the context of its stages."""
    sweep = read_sweep(args.sweep)
    if args.short:
        sweep = replace(sweep, recipe=shorten_recipe(sweep.recipe))
    return sweep, recipe_context(sweep.recipe, Path(__file__).resolve().parents[1], args)


def stages_by_run(sweep: Sweep, context: RecipeContext, only: list[str]) -> dict[str, list[str]]:
    """Return the names of the stages of each chosen run; the first run also has those that run once."""
    runs = [sweep.run(name) for name in only] if only else sweep.runs
    repeated = context.recipe.repeated
    stages = {run.name: [copy for name in run.stages.values() for copy in repeated.get(name, (name, ))] for run in runs}
    of_runs = {copy for run in sweep.runs for name in run.stages.values() for copy in repeated.get(name, (name, ))}
    once = [stage.name for stage in context.recipe.stages if stage.name not in of_runs]
    first = next(iter(stages))
    return {**stages, first: [*once, *stages[first]]}


def run(args: argparse.Namespace, console: Console) -> list[str]:
    """Run the sweep that the command line names; return the names of the runs that failed."""
    sweep, context = build_context(args)
    runner, failed = RecipeRunner(context, console), []
    chosen = stages_by_run(sweep, context, args.only)
    if args.dry_run:
        runner.preview(only=[name for names in chosen.values() for name in names])
        return []
    for name, stages in chosen.items():
        try:
            runner.run(only=stages)
        except StageError as error:
            if not args.keep_going:
                raise
            console.print(f'{name} failed: {error}', soft_wrap=True, markup=False)
            failed.append(name)
        except RecipeError:
            if not failed:  # otherwise a stage that all runs need has failed
                raise
            failed.append(name)
        write_sweep(sweep, sweep_rows(sweep, context.recipe, runner.records()), context.work_dir)
    console.print(sweep_table(sweep.recipe.title, sweep_rows(sweep, context.recipe, runner.records())))
    console.print(f'table: {context.work_dir / "sweep.md"}, {context.work_dir / "sweep.json"}', soft_wrap=True)
    return failed


def main() -> int:
    """Run the command line, and return the exit code."""
    args = parse_args()
    failed = run(args, Console())
    if failed:
        print(f'these runs failed: {", ".join(failed)}; run the same command again to resume', file=sys.stderr)
    return 1 if failed else 0


if __name__ == '__main__':
    run_tool(main)
