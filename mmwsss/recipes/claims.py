"""Claims of papers: what the results of a recipe are to show, and whether they do over several seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import mean, stdev
from typing import Any

from .schema import Recipe, RecipeError

__all__ = [
    'DECISION_RULE', 'VERDICTS', 'Claim', 'Comparison', 'Side', 'claim_recipe_name', 'compare', 'decide', 'read_claims',
    'seed_results'
]

VERDICTS = HOLDS, FAILS, OPEN, NOT_RUN = 'holds', 'does not hold', 'not decided', 'not run'
"""tuple[str]: What can be said of a claim."""
MIN_SEEDS = 3
DECISION_RULE = (
    'A claim says that one number is higher than another. It *holds* if the mean of the differences of paired seeds is '
    'larger than twice its standard error, or if all differences are positive; it *does not hold* if the same is true '
    f'of the opposite; otherwise, and with fewer than {MIN_SEEDS} seeds, it is *not decided*.')
"""str: How :func:`decide` decides, for readers."""

FIXED, ORACLE = 'cam/mIoU', 'cam/oracle_mIoU'

SeedResults = Mapping[str, Mapping[int, Mapping[str, float]]]
"""Results by ``recipe:stage``, seed and metric."""


@dataclass(frozen=True)
class Side:
    """One of the two numbers that a claim compares.

    Attributes:
        recipe: Name of the recipe, without ``recipe_``.
        stage: Name of the stage.
        name: A map of a ``cam-table``, or a metric of another stage.
        label: What the table calls it.
    """

    recipe: str
    stage: str
    name: str
    label: str

    def metric(self, oracle: bool) -> str:
        """Return the name of the metric: that of the map at the fixed or the best threshold, or ``name`` itself."""
        return self.name if '/' in self.name else f'{self.name} {ORACLE if oracle else FIXED}'


@dataclass(frozen=True)
class Claim:
    """A claim of a paper.

    Attributes:
        text: The claim as a sentence without a full stop.
        source: Paper, and table or figure.
        better: What is to have the higher number.
        worse: What is to have the lower number.
        reason: What other experiments show about a claim that does not hold. Defaults to nothing.
    """

    text: str
    source: str
    better: Side
    worse: Side
    reason: str = ''


@dataclass(frozen=True)
class Comparison:
    """The two numbers of a claim over the seeds that both of them have.

    Attributes:
        seeds: The seeds.
        better: A value for each seed.
        worse: A value for each seed.
    """

    seeds: tuple[int, ...]
    better: tuple[float, ...]
    worse: tuple[float, ...]

    @property
    def differences(self) -> tuple[float, ...]:
        """The differences of paired seeds."""
        return tuple(a - b for a, b in zip(self.better, self.worse))

    @property
    def verdict(self) -> str:
        """What :func:`decide` says of the differences, or that nothing was run."""
        return decide(self.differences) if self.seeds else NOT_RUN


def decide(differences: Sequence[float]) -> str:
    """Decide whether differences of paired seeds are positive; see :data:`DECISION_RULE`.

    Args:
        differences (Sequence[float]): One for each seed.

    Returns:
        str: ``'holds'``, ``'does not hold'`` or ``'not decided'``.
    """
    if len(differences) < MIN_SEEDS:
        return OPEN
    middle, error = mean(differences), stdev(differences) / sqrt(len(differences))
    if middle > 2 * error or min(differences) > 0:
        return HOLDS
    if middle < -2 * error or max(differences) < 0:
        return FAILS
    return OPEN


def read_claims(recipe: Recipe) -> list[Claim]:
    """Read the claims of a recipe.

    Args:
        recipe (Recipe): Its ``claims`` is a list of dicts with ``text``, ``source``, ``better``, ``worse`` and
            optionally ``reason``. ``better`` and ``worse`` are a stage, a map or metric of it, and optionally what the
            table calls it. A stage of another recipe is written ``recipe:stage``.

    Raises:
        RecipeError: A key is missing or unknown, or a claim names an unknown stage of this recipe.
    """
    return [_read_claim(recipe, item) for item in recipe.claims]


def compare(claim: Claim, results: SeedResults, oracle: bool = False) -> Comparison:
    """Compare the two numbers of a claim over all seeds that have both.

    Args:
        claim (Claim): The claim.
        results (Mapping): Results by ``recipe:stage``, seed and metric, from :func:`seed_results`.
        oracle (bool): Compare maps at the best threshold in place of the fixed one. Defaults to False.

    Returns:
        Comparison: Without seeds where nothing was run.
    """
    better, worse = (_values(side, results, oracle) for side in (claim.better, claim.worse))
    seeds = tuple(sorted(better.keys() & worse.keys()))
    return Comparison(seeds, tuple(better[seed] for seed in seeds), tuple(worse[seed] for seed in seeds))


def seed_results(recipe: Recipe, records: Sequence[dict]) -> dict[str, dict[int, dict[str, Any]]]:
    """Return the results of repeated stages by stage and seed.

    Args:
        recipe (Recipe): From :func:`~mmwsss.recipes.repeat_for_seeds`.
        records (Sequence[dict]): The content of ``stage.json`` of each finished stage.

    Returns:
        dict: Stage -> seed -> ``results`` and ``seconds``.
    """
    finished = {record['name']: record for record in records}
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for stage, names in recipe.repeated.items():
        done = {int(name.rpartition('seed')[2]): finished[name] for name in names if name in finished}
        found[stage] = {seed: {key: record[key] for key in ('results', 'seconds')} for seed, record in done.items()}
    return found


def _values(side: Side, results: SeedResults, oracle: bool) -> dict[int, float]:
    metric = side.metric(oracle)
    stage = results.get(f'{side.recipe}:{side.stage}', {})
    return {seed: metrics[metric] for seed, metrics in stage.items() if metric in metrics}


def _read_claim(recipe: Recipe, item: dict) -> Claim:
    needed, optional = {'text', 'source', 'better', 'worse'}, {'reason'}
    wrong = (needed - item.keys()) | (item.keys() - needed - optional)
    if wrong:
        raise RecipeError(f'{recipe.path}: a claim needs {", ".join(sorted(needed))} and may have a reason; missing or '
                          f'unknown: {", ".join(sorted(wrong))}')
    return Claim(item['text'], item['source'], _read_side(recipe, item['better']), _read_side(recipe, item['worse']),
                 item.get('reason', ''))


def _read_side(recipe: Recipe, value: Sequence[str]) -> Side:
    if isinstance(value, str) or len(value) not in (2, 3):
        raise RecipeError(f'{recipe.path}: what a claim compares must be a stage, a map or metric, and optionally a '
                          f'label, got {value!r}')
    where, name, *label = value
    other, _, stage = where.rpartition(':')
    if not other:
        recipe.stage(stage)
    return Side(other or claim_recipe_name(recipe), stage, name, label[0] if label else name)


def claim_recipe_name(recipe: Recipe) -> str:
    """Return the name of a recipe of claims: that of its file without ``recipe_`` and suffix."""
    return recipe.path.rpartition('/')[2].removesuffix('.py').removeprefix('recipe_')
