"""Repeat the trainings of a recipe with several seeds, and report the mean and the spread of their results."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import mean, stdev
from typing import Optional

from rich.table import Table

from .copies import copy_stage, stages_to_repeat
from .schema import Recipe, RecipeError, Stage
from .stages import Train

__all__ = ['SPREAD_HEADINGS', 'Spread', 'parse_seeds', 'repeat_for_seeds', 'spread_cells', 'spread_of', 'spread_table']

SPREAD_HEADINGS = ('stage', 'split', 'metric', 'mean', 'standard deviation', 'values')


@dataclass(frozen=True)
class Spread:
    """A metric of a stage over seeds.

    Attributes:
        stage: Name of the stage in the recipe.
        split: Name of the images.
        metric: Name of the metric.
        values: One value for each seed whose stage is finished, in the order of the seeds.
    """

    stage: str
    split: str
    metric: str
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean of the values."""
        return mean(self.values)

    @property
    def deviation(self) -> Optional[float]:
        """Standard deviation of a sample (divided by the number of values minus 1), or None of a single value."""
        return stdev(self.values) if len(self.values) > 1 else None


def parse_seeds(text: str) -> tuple[int, ...]:
    """Read seeds from a command line, such as ``0,1,2``.

    Raises:
        RecipeError: It is not a list of different integers of 0 or more.
    """
    parts = [part.strip() for part in text.split(',')]
    if not all(part.isdecimal() for part in parts) or len({int(part) for part in parts}) != len(parts):
        raise RecipeError(f'--seeds must be different numbers of 0 or more, such as 0,1,2, got {text!r}')
    return tuple(map(int, parts))


def repeat_for_seeds(recipe: Recipe, seeds: Sequence[int]) -> Recipe:
    """Repeat the trainings, and all stages that use their outputs, once for each seed.

    The stages of seed 1 are called ``<name>-seed1`` and refer to each other; ``randomness.seed`` of their trainings is
    1. Other stages, such as those that make data, come first and run once.

    Args:
        recipe (Recipe): The recipe.
        seeds (Sequence[int]): The seeds.

    Returns:
        Recipe: With all repeated stages, and with ``repeated``.

    Raises:
        RecipeError: The recipe trains nothing.
    """
    names = stages_to_repeat(recipe.stages, [stage.name for stage in recipe.stages if isinstance(stage, Train)])
    if not names:
        raise RecipeError(f'{recipe.path} trains nothing that could be repeated with other seeds')
    chosen = [stage for stage in recipe.stages if stage.name in names]
    once = [stage for stage in recipe.stages if stage.name not in names]
    copies = [_with_seed(stage, seed, names) for seed in seeds for stage in chosen]
    repeated = {name: tuple(_seeded(name, seed) for seed in seeds) for name in names}
    return replace(recipe, stages=(*once, *copies), repeated=repeated)


def spread_of(recipe: Recipe, records: Sequence[dict]) -> list[Spread]:
    """Return the reported metrics of repeated stages over the seeds that are finished.

    Args:
        recipe (Recipe): From :func:`repeat_for_seeds`; any other gives an empty list.
        records (Sequence[dict]): The content of ``stage.json`` of each finished stage.
    """
    finished = {record['name']: record for record in records}
    found = []
    for stage, names in recipe.repeated.items():
        done = [finished[name] for name in names if name in finished]
        shown = [recipe.stage(record['name']).reported(record['results']) for record in done]
        for metric in shown[0] if shown else ():
            values = tuple(results[metric] for results in shown if metric in results)
            found.append(Spread(stage, done[0]['split'], metric, values))
    return found


def spread_cells(spread: Spread) -> list[str]:
    """Return the cells of a row of the table, one for each of :data:`SPREAD_HEADINGS`."""
    deviation = '' if spread.deviation is None else f'{spread.deviation:.2f}'
    values = ', '.join(f'{value:.2f}' for value in spread.values)
    return [spread.stage, spread.split, spread.metric, f'{spread.mean:.2f}', deviation, values]


def spread_table(recipe: Recipe, records: Sequence[dict]) -> Optional[Table]:
    """Return the table of :func:`spread_of` for a terminal, or None if nothing was repeated."""
    if not recipe.repeated:
        return None
    table = Table(title=f'{recipe.title}: mean and spread over seeds')
    for heading in SPREAD_HEADINGS:
        table.add_column(heading, justify='right' if heading in SPREAD_HEADINGS[3:5] else 'left')
    for spread in spread_of(recipe, records):
        table.add_row(*spread_cells(spread))
    return table


def _with_seed(stage: Stage, seed: int, repeated: Sequence[str]) -> Stage:
    """Return the copy of a stage for a seed."""
    copy = copy_stage(stage, partial(_seeded, seed=seed), repeated, f'seed {seed}')
    if not isinstance(copy, Train):
        return copy
    return replace(copy, cfg_options={**copy.cfg_options, 'randomness.seed': seed})


def _seeded(name: str, seed: int) -> str:
    return f'{name}-seed{seed}'
