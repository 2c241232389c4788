"""The table of a sweep: a row per run with its parameters, results and published numbers, as Markdown and JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Optional

from rich.table import Table

from mmwsss.utils import atomic_path
from mmwsss.utils.results import write_results

from .schema import Recipe
from .sweep import Sweep, SweepRun, short_keys

__all__ = ['SWEEP_FILE', 'SweepRow', 'sweep_rows', 'sweep_table', 'write_sweep']

SWEEP_FILE = 'sweep.json'
"""str: File with the results of a sweep, in its output folder."""


@dataclass(frozen=True)
class SweepRow:
    """The results of a run of a sweep.

    Attributes:
        run: The run.
        values: Values of each metric, one for each seed whose stage is finished.
        minutes: Time of its finished stages.
        finished: Whether all of its stages are finished.
    """

    run: SweepRun
    values: dict[str, tuple[float, ...]]
    minutes: float
    finished: bool

    def mean(self, metric: str) -> Optional[float]:
        """Return the mean of a metric over seeds, or None without a value."""
        return mean(self.values[metric]) if self.values.get(metric) else None

    def deviation(self, metric: str) -> Optional[float]:
        """Return the standard deviation of a sample over seeds, or None with fewer than two values."""
        values = self.values.get(metric, ())
        return stdev(values) if len(values) > 1 else None


def sweep_rows(sweep: Sweep, recipe: Recipe, records: Sequence[dict]) -> list[SweepRow]:
    """Collect the results of a sweep.

    Args:
        sweep (Sweep): The sweep.
        recipe (Recipe): The recipe that was run: that of the sweep, or its repetition with several seeds.
        records (Sequence[dict]): The content of ``stage.json`` of each finished stage.

    Returns:
        list[SweepRow]: One for each run. A metric is called as the stage calls it, or, where several stages of a run
        have results, ``<stage> <metric>``.
    """
    found = {record['name']: record for record in records}
    reporting = {original for run in sweep.runs for original, name in run.stages.items()
                 for copy in recipe.repeated.get(name, (name, )) if _shown(sweep, recipe, found.get(copy))}
    rows = []
    for run in sweep.runs:
        values: dict[str, tuple[float, ...]] = {}
        copies = {original: recipe.repeated.get(name, (name, )) for original, name in run.stages.items()}
        for original, names in copies.items():
            shown = [_shown(sweep, recipe, found.get(name)) for name in names]
            prefix = f'{original} ' if len(reporting) > 1 else ''
            for metric in dict.fromkeys(metric for results in shown for metric in results):
                values[prefix + metric] = tuple(results[metric] for results in shown if metric in results)
        wanted = [name for names in copies.values() for name in names]
        done = [found[name] for name in wanted if name in found]
        rows.append(SweepRow(run, values, sum(record['seconds'] for record in done) / 60, len(done) == len(wanted)))
    return rows


def _shown(sweep: Sweep, recipe: Recipe, record: Optional[dict]) -> dict[str, float]:
    """Return the metrics of a finished stage that the table has."""
    if record is None:
        return {}
    if not sweep.metrics:
        return recipe.stage(record['name']).reported(record['results'])
    return {name: value for name, value in record['results'].items()
            if any(fnmatch(name, pattern) for pattern in sweep.metrics)}


def sweep_table(title: str, rows: Sequence[SweepRow]) -> Table:
    """Return the table for a terminal."""
    headings, cells = _cells(rows)
    table = Table(title=title)
    for index, heading in enumerate(headings):
        table.add_column(heading, justify='left' if index == 0 else 'right')
    for line in cells:
        table.add_row(*line)
    return table


def write_sweep(sweep: Sweep, rows: Sequence[SweepRow], work_dir: Path) -> None:
    """Write ``sweep.md`` and ``sweep.json``, each whole or not at all.

    Args:
        sweep (Sweep): The sweep.
        rows (Sequence[SweepRow]): From :func:`sweep_rows`.
        work_dir (Path): Folder of the sweep's outputs.
    """
    headings, cells = _cells(rows)
    lines = [headings, ['---', *['---:'] * (len(headings) - 1)], *cells]
    text = '\n'.join(f'| {" | ".join(cell.replace("|", chr(92) + "|") for cell in line)} |' for line in lines)
    with atomic_path(work_dir / 'sweep.md') as tmp:
        tmp.write_text(f'# {sweep.recipe.title}\n\n{text}\n', encoding='utf-8')
    metrics = {f'{row.run.name} {metric}': row.mean(metric) for row in rows for metric in row.values}
    runs = [dict(name=row.run.name, params=row.run.params, finished=row.finished, minutes=round(row.minutes, 2),
                 metrics={metric: row.mean(metric) for metric in row.values},
                 deviations={metric: row.deviation(metric) for metric in row.values},
                 values=row.values, published=row.run.published) for row in rows]
    write_results(work_dir / SWEEP_FILE, 'sweep.py', metrics, sweep.recipe.path, title=sweep.recipe.title,
                  default=sweep.default, runs=runs)


def _cells(rows: Sequence[SweepRow]) -> tuple[list[str], list[list[str]]]:
    """Return the headings and the cells of the table."""
    metrics = list(dict.fromkeys(metric for row in rows for metric in row.values))
    published = list(dict.fromkeys(name for row in rows for name in row.run.published))
    params = list(dict.fromkeys(key for row in rows for key in row.run.params))
    named = [key for key in params if any(f'={row.run.params.get(key)}' not in row.run.name for row in rows)]
    labels = short_keys(named)
    headings = ['run', *labels.values(), *metrics, *(f'published {name}' for name in published), 'minutes']
    lines = []
    for row in rows:
        found = [_number(row.mean(metric), row.deviation(metric)) for metric in metrics]
        stated = [_number(row.run.published.get(name)) for name in published]
        settings = [_text(row.run.params[key]) if key in row.run.params else '' for key in named]
        minutes = f'{row.minutes:.1f}' if row.minutes or row.finished else ''
        lines.append([row.run.name, *settings, *found, *stated, minutes])
    return headings, lines


def _number(value: Optional[float], deviation: Optional[float] = None) -> str:
    """Return a number with two decimals and its deviation; empty for None."""
    if value is None:
        return ''
    return f'{value:.2f}' + ('' if deviation is None else f' ± {deviation:.2f}')


def _text(value: Any) -> str:
    return Path(value).stem if isinstance(value, str) and value.endswith('.py') else str(value)
