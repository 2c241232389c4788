"""All maps of models: a table of their rates, curves over thresholds, and ways to couple them with attention."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional, Union

import pandas as pd
from torch import nn

from mmwsss.utils import closest
from mmwsss.utils.errors import UserError

from ..plots import new_figure, plot_maps_over_setting, plot_maps_over_thresholds, save_figure
from .base import ANALYSES
from .map_quality import MapAnalysis, draw_bars, rates_table, split_words
from .map_variants import Couplings, VariantHead, number_of_layers, unrefined_map
from .tables import AnalysisTable, number

__all__ = ['CamTable', 'CouplingTable', 'ThresholdCurves']

COLUMNS = ('oracle_mIoU', 'oracle_threshold', 'oracle_FP', 'oracle_FN', 'oracle_precision', 'oracle_recall')
Words = Union[None, str, Sequence[str]]


class NamedMaps(MapAnalysis):
    """Base class: maps that the model gives by name.

    Args:
        maps: Their names; by default all.
        published_sweep: See :class:`MapAnalysis`.
    """

    def __init__(self, maps: Words = None, published_sweep: bool = False) -> None:
        super().__init__(published_sweep)
        self.maps = split_words(maps)

    def head(self, model: nn.Module) -> tuple[nn.Module, Sequence[str]]:
        """Return the head of the model, and the names of its maps."""
        head = model.cam_head
        for name in self.maps or ():
            if name not in head.map_names:
                raise UserError(f'the model has no map {name!r}{closest(name, head.map_names)}; its maps are '
                                f'{", ".join(head.map_names)}')
        return head, self.maps or list(head.map_names)


@ANALYSES.register_module(name='cam-table')
class CamTable(NamedMaps):
    """Rates of all maps of models, at a fixed threshold and at the best one, as a table.

    Args:
        maps: Names of the maps; by default all that differ.
        threshold: The fixed threshold; by default that of the config, ``model.test_cfg.threshold``.
        published_sweep: See :class:`MapAnalysis`.
    """

    source = 'MCTformer Tables 5, 7; WeakTr Table 4; TransCAM Tables 2, 3; AReAM Table I; ToCo Table 4'

    def __init__(self, maps: Words = None, threshold: Optional[float] = None, published_sweep: bool = False) -> None:
        super().__init__(maps, published_sweep)
        self.threshold = threshold
        self.threshold_rule = ('mIoU: at the fixed threshold. oracle: at the threshold of the grid with the best mIoU, '
                               'which the masks chose. Image labels are given.')

    def thresholds(self, model: nn.Module) -> list[float]:
        """Return the thresholds of the sweep and the fixed one."""
        if self.threshold is None:
            self.threshold = (getattr(model, 'test_cfg', None) or {}).get('threshold', .5)
        return sorted({*self.grid, float(self.threshold)})

    def compute(self) -> dict[str, Any]:
        """Return ``rows``: the rates of each map, its ``curve`` over thresholds, and whether it is the ``result``."""
        rows = []
        for name, result in self.results().items():
            numbers, best = result.to_dict(), result.best(among=self.grid)
            curve = {key: numbers[key] for key in ('thresholds', 'mIoU', 'FP', 'FN', 'mPrecision', 'mRecall')}
            rows.append({'map': name, **result.metrics(float(self.threshold), oracle=best), 'notes': result.notes,
                         'curve': curve})
        return {'rows': rows if self.maps else without_copy(rows)}

    def state(self) -> tuple:
        """Return the counts, and the fixed threshold."""
        return (*super().state(), self.threshold)

    def merge(self, states: Iterable[tuple]) -> None:
        """Add up the counts of all processes."""
        states = list(states)
        self.threshold = next(threshold for *_, threshold in states if threshold is not None)
        super().merge([state[:2] for state in states])

    def summary(self, data: Mapping[str, Any]) -> dict[str, float]:
        """Return the mIoU at the fixed and at the best threshold of each map."""
        return {f'{row["map"]} cam/{key}': row[key] for row in data['rows'] for key in ('mIoU', 'oracle_mIoU')}

    def table(self, record: Mapping[str, Any]) -> AnalysisTable:
        """Return a row for each map of each run."""
        rows = [(run, row) for run in record['runs'] for row in run['data']['rows']]
        fixed = {row['threshold'] for _, row in rows}
        heading = f'mIoU at {fixed.pop():g}' if len(fixed) == 1 else 'mIoU (fixed)'
        lines = [[run['label'], row['map'] + (' *' if row.get('result') else ''),
                  *(number(row[column]) for column in ('mIoU', *COLUMNS))] for run, row in rows]
        headings = ['model', 'map', heading, 'oracle mIoU', 'its threshold', 'its FP', 'its FN', 'its precision',
                    'its recall']
        return AnalysisTable(headings, lines, _notes(record, rows), words=2)

    def draw(self, record: Mapping[str, Any], path: Path) -> None:
        """Draw the best mIoU over a setting that is swept, or the mIoU over thresholds."""
        setting = next(iter(record['runs'][0].get('setting') or {}), None)
        if setting is None:
            several = len(record['runs']) > 1
            curves = {f'{run["label"]}, {row["map"]}' if several else row['map']: pd.Series(
                row['curve']['mIoU'], row['curve']['thresholds'], float)
                for run in record['runs'] for row in run['data']['rows']}
            plot_maps_over_thresholds(curves, path)
            return
        plot_maps_over_setting(_rates_by_setting(record, setting), setting.split('.')[-1], path)


def _notes(record: Mapping[str, Any], rows: Sequence[tuple]) -> str:
    """Return the sentences below the table: data, rules and notes about classes."""
    notes = dict.fromkeys(note for _, row in rows for note in row['notes'])
    data = f'{record["runs"][0]["num_images"]} images of {record["split"]}, in percent.'
    return ' '.join([data, record['threshold_rule'], '* the result of the method.', *notes])


def _rates_by_setting(record: Mapping[str, Any], setting: str) -> dict[str, pd.DataFrame]:
    """Return the best rates over the values of a setting, by model and map."""
    found: dict[str, dict] = {}
    several = len({run['model'] for run in record['runs']}) > 1
    for run in record['runs']:
        for row in run['data']['rows']:
            name = f'{run["model"]}, {row["map"]}' if several else row['map']
            found.setdefault(name, {})[str(run['setting'][setting])] = (run['setting'][setting], row)
    frames = {}
    for name, rows in found.items():
        index = pd.Index([value for value, _ in rows.values()], tupleize_cols=False)
        rates = {rate: [row[f'oracle_{rate}'] for _, row in rows.values()] for rate in ('mIoU', 'FP', 'FN')}
        frames[name] = pd.DataFrame(rates, index)
    return frames


def without_copy(rows: list[dict]) -> list[dict]:
    """Leave out the map ``cams`` of a model if it equals another of its maps, which is then marked as ``result``."""
    result = next((row for row in rows if row['map'] == 'cams'), None)
    same = [row for row in rows if row is not result and result and row['curve'] == result['curve']]
    for row in rows:
        row['result'] = row is (same[0] if same else result)
    return [row for row in rows if not (same and row is result)]


@ANALYSES.register_module(name='thresholds')
class ThresholdCurves(NamedMaps):
    """Rates of maps over the background threshold, with a mark at the best mIoU.

    Args:
        maps: Names of the maps; by default cams alone.
        rates: Which of mIoU, FP, FN, precision and recall.
        published_sweep: See :class:`MapAnalysis`.
    """

    source = 'all papers (best threshold); TransCAM Eq. 7'

    def __init__(self, maps: Words = 'cams', rates: Words = 'mIoU', published_sweep: bool = False) -> None:
        super().__init__(maps, published_sweep)
        self.rates = split_words(rates)
        unknown = set(self.rates) - {'mIoU', 'FP', 'FN', 'precision', 'recall'}
        if unknown:
            raise UserError(f'rates has {sorted(unknown)[0]!r}; there are mIoU, FP, FN, precision and recall')

    def table(self, record: Mapping[str, Any]) -> AnalysisTable:
        """Return the rates at the best threshold."""
        return rates_table(record, ('mIoU', 'FP', 'FN', 'precision', 'recall'))

    def draw(self, record: Mapping[str, Any], path: Path) -> None:
        """Draw a line for each map of each run; FP, FN, precision and recall in other styles."""
        figure, axes = new_figure()
        lines = [(run['label'], name, found) for run in record['runs'] for name, found in run['data']['maps'].items()]
        styles = dict(zip(self.rates, ('-', '--', ':', '-.', (0, (5, 1)))))
        for index, (label, name, found) in enumerate(lines):
            several = len({name for _, name, _ in lines}) > 1, len(record['runs']) > 1
            text = {(True, False): name, (True, True): f'{label}, {name}'}.get(several, label)
            for rate, style in styles.items():
                axes.plot(found['curve']['thresholds'], pd.Series(found['curve'][rate], dtype=float), linestyle=style,
                          color=f'C{index}', label=f'{text}, {rate}' if len(styles) > 1 else text)
            if 'mIoU' in styles and found['threshold'] is not None:
                axes.plot(found['threshold'], found['mIoU'], 'o', color=f'C{index}')
                axes.annotate(f'{found["mIoU"]:.1f}', (found['threshold'], found['mIoU']), xytext=(0, 5), fontsize=8,
                              textcoords='offset points', ha='center')
        axes.set(xlabel='background threshold', ylabel='%' if len(styles) > 1 else f'{self.rates[0]} (%)')
        axes.grid(alpha=.3)
        save_figure(figure, path, 'outside upper center', fontsize=8)


@ANALYSES.register_module(name='couplings')
class CouplingTable(MapAnalysis):
    """Quality of the map before refinement, coupled with attention in three ways, and plain.

    Args:
        base: The map before refinement; by default the first of raw_cams, fused_cams, conv_cams, attention and cams
            that the model has.
        published_sweep: See :class:`MapAnalysis`.
    """

    source = 'TransCAM Table 2'

    def __init__(self, base: Optional[str] = None, published_sweep: bool = False) -> None:
        super().__init__(published_sweep)
        self.base = base

    def head(self, model: nn.Module) -> tuple[nn.Module, Sequence[str]]:
        """Return the head of the coupled maps, and their names."""
        number_of_layers(model)
        return VariantHead(model.cam_head, unrefined_map(model.cam_head, self.base), Couplings()), Couplings.names

    def table(self, record: Mapping[str, Any]) -> AnalysisTable:
        """Return the rates of each way of each run."""
        return rates_table(record, ('mIoU', 'FP', 'FN', 'precision', 'recall'))

    def draw(self, record: Mapping[str, Any], path: Path) -> None:
        """Draw a bar for each way of each run."""
        draw_bars(record, path)
