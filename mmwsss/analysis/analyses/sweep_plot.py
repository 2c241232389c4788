"""Plots of sweeps: metrics over one parameter, or as a table of colors over two."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Union

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmwsss.utils.errors import UserError
from mmwsss.utils.results import read_results

from ..plots import save_figure
from .base import ANALYSES, RunAnalysis
from .map_quality import split_words
from .records import runs_of

__all__ = ['SweepPlot']

SWEEP_FILE = 'sweep.json'
MOST_TICKS = 12
Words = Union[None, str, Sequence[str]]


@ANALYSES.register_module(name='sweep')
class SweepPlot(RunAnalysis):
    """Results of sweeps over their parameters, with the default marked and the published numbers.

    Args:
        metrics: Names of the metrics; by default all, a chart for each.
        params: Names of the parameters, or their last parts; by default those that differ between runs.
    """

    source = 'ToCo Tables 5, 7; AReAM Table II; WeakTr Tables 5, 6, 8, 9; TransCAM Fig. 4'
    reads_files = True

    def __init__(self, metrics: Words = None, params: Words = None) -> None:
        self.metrics, self.params = split_words(metrics), split_words(params)

    def read(self, work_dir: Path) -> dict[str, Any]:
        """Read ``sweep.json`` in the output folder of ``sweep.py``."""
        file = work_dir / SWEEP_FILE if work_dir.is_dir() else work_dir
        if not file.is_file():
            raise FileNotFoundError(f'no {file}: give the output folder of tools/sweep.py')
        results = read_results(file)
        runs = [run for run in results.get('runs', []) if run['metrics'] or run['published']]
        if not runs:
            raise UserError(f'{file} has no run with results')
        return dict(title=results['title'], default=results['default'], runs=runs)

    def draw(self, record: Mapping[str, Any], path: Path) -> None:
        """Draw a chart for each metric: lines over one parameter, or colors over two."""
        sweeps = runs_of(record)
        metrics = self.metrics or list(dict.fromkeys(
            name for _, data in sweeps for run in data['runs'] for name in (*run['metrics'], *run['published'])))
        params = self._varied(sweeps[0][1])
        figure = Figure(figsize=(4.6 * len(metrics), 3.8), layout='constrained')
        for index, metric in enumerate(metrics, start=1):
            axes = figure.add_subplot(1, len(metrics), index)
            if len(params) == 2:
                _draw_table(figure, axes, sweeps[0][1], params, metric)
            else:
                for label, data in sweeps:
                    _draw_line(axes, label if len(sweeps) > 1 else '', data, params[0], metric)
                axes.grid(alpha=.3)
                axes.legend(frameon=False, fontsize=8)
            axes.set_title(metric, fontsize=10)
        save_figure(figure, path)

    def _varied(self, data: Mapping[str, Any]) -> list[str]:
        """Return one or two parameters.

        Raises:
            UserError: There are more or none.
        """
        keys = list(dict.fromkeys(key for run in data['runs'] for key in run['params']))
        found = [key for key in keys if len({str(run['params'].get(key)) for run in data['runs']}) > 1]
        if self.params:
            found = [key for key in keys if key in self.params or key.split('.')[-1] in self.params]
        if not 1 <= len(found) <= 2:
            raise UserError(f'the sweep varies {", ".join(found) or "no parameter"}: choose one or two of '
                            f'{", ".join(keys) or "its parameters"} by params=...')
        return found


def _value(run: Mapping[str, Any], metric: str) -> tuple[float, bool]:
    """Return the number of a run, and whether it is a published one, for want of one of our own."""
    own = run['metrics'].get(metric)
    value = run['published'].get(metric) if own is None else own
    return (np.nan if value is None else float(value)), own is None


def _draw_line(axes: Axes, label: str, data: Mapping[str, Any], param: str, metric: str) -> None:
    """Draw a metric over a parameter, and the published numbers in gray."""
    runs = [run for run in data['runs'] if param in run['params']]
    values = [run['params'][param] for run in runs]
    numeric = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    order = np.argsort(values) if numeric else np.arange(len(values))
    runs, places = [runs[i] for i in order], [values[i] if numeric else str(values[i]) for i in order]
    own = np.array([run['metrics'].get(metric, np.nan) for run in runs], np.float64)
    published = np.array([run['published'].get(metric, np.nan) for run in runs], np.float64)
    if not np.isnan(own).all():
        errors = [run['deviations'].get(metric) or 0 for run in runs]
        axes.errorbar(places, own, errors if any(errors) else None, marker='o', label=label or 'measured', capsize=3)
    if not np.isnan(published).all():
        axes.plot(places, published, 's--', color='0.5', label=f'{label} published'.strip())
    for place, run, known in zip(places, runs, zip(own, published)):
        if param in data['default'] and str(data['default'][param]) == str(run['params'][param]):
            value = next((value for value in known if not np.isnan(value)), np.nan)
            axes.plot(place, value, 'o', markersize=12, fillstyle='none', color='tab:red', label='default')
    if numeric and len(set(places)) <= MOST_TICKS:
        axes.set_xticks(sorted(set(places)))
    axes.set(xlabel=param.split('.')[-1], ylabel='%')


def _ordered(values: Sequence[Any]) -> list[str]:
    """Return the different values as text: numbers in their order, others as they come."""
    numeric = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    return list(dict.fromkeys(map(str, sorted(values) if numeric else values)))


def _draw_table(figure: Figure, axes: Axes, data: Mapping[str, Any], params: Sequence[str], metric: str) -> None:
    """Draw a metric as colors over two parameters, each cell with its number."""
    rows, columns = (_ordered([run['params'].get(key) for run in data['runs']]) for key in params)
    values, stated = np.full((len(rows), len(columns)), np.nan), False
    default = tuple(str(data['default'].get(key)) for key in params)
    for run in data['runs']:
        row, column = (str(run['params'].get(key)) for key in params)
        value, published = _value(run, metric)
        values[rows.index(row), columns.index(column)] = value
        stated = stated or (published and not np.isnan(value))
    colors = colormaps['viridis'].with_extremes(bad='0.9')
    drawn = axes.imshow(np.ma.masked_invalid(values), cmap=colors, aspect='auto')
    middle = (np.nanmin(values) + np.nanmax(values)) / 2
    for (row, column), value in np.ndenumerate(values):
        marked = (rows[row], columns[column]) == default
        axes.text(column, row, '' if np.isnan(value) else f'{value:.1f}', ha='center', va='center', fontsize=9,
                  color='white' if value < middle else 'black', weight='bold' if marked else 'normal')
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    note = ' (published where not measured)' if stated else ''
    axes.set(xlabel=params[1].split('.')[-1] + note, ylabel=params[0].split('.')[-1])
    figure.colorbar(drawn, ax=axes)
