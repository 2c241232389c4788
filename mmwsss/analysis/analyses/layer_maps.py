"""Maps refined by the attention of single layers and of sets of layers (AReAM, Fig. 1 and 6, Table III; TransCAM)."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn

from mmwsss.utils.errors import UserError

from ..plots import new_figure, save_figure
from .base import ANALYSES
from .map_quality import MapAnalysis, best_of, draw_bars, rates_table
from .map_variants import (
    ClassAttentionOfLastLayers,
    MapVariants,
    RefinedByLayers,
    VariantHead,
    number_of_layers,
    unrefined_map,
)
from .tables import AnalysisTable, number

__all__ = ['FirstLayers', 'LastLayers', 'LayerMaps', 'LayerSets']


class DepthAnalysis(MapAnalysis):
    """Base class of analyses whose maps are about layers: the numbers of a run have their number, ``num_layers``."""

    def __init__(self, published_sweep: bool = False) -> None:
        super().__init__(published_sweep)
        self._layers = 0

    @abstractmethod
    def variants(self, model: nn.Module) -> tuple[str, MapVariants]:
        """Return the name of the map before refinement, and what is made of it."""

    def head(self, model: nn.Module) -> tuple[nn.Module, Sequence[str]]:
        """Return the head of the variants, and their names."""
        self._layers = number_of_layers(model)
        base, variants = self.variants(model)
        return VariantHead(model.cam_head, base, variants), variants.names

    def compute(self) -> dict[str, Any]:
        """Return ``maps`` and ``num_layers``."""
        return {**super().compute(), 'num_layers': self._layers}

    def state(self) -> tuple:
        """Return the counts, and the number of layers."""
        return (*super().state(), self._layers)

    def merge(self, states: Iterable[tuple]) -> None:
        """Add up the counts of all processes."""
        states = list(states)
        self._layers = max(layers for *_, layers in states)
        super().merge([state[:2] for state in states])


class LayerAnalysis(DepthAnalysis):
    """Base class: the map before refinement, refined by the attention among patches of sets of layers.

    Args:
        base: The map before refinement; by default the first of raw_cams, fused_cams, conv_cams, attention and cams
            that the model has.
        published_sweep: See :class:`MapAnalysis`.
    """

    def __init__(self, base: Optional[str] = None, published_sweep: bool = False) -> None:
        super().__init__(published_sweep)
        self.base = base

    @abstractmethod
    def sets(self, num_layers: int) -> Mapping[str, Sequence[int]]:
        """Return the sets of layers, counted from 0, by name; an empty set is the map before refinement."""

    def variants(self, model: nn.Module) -> tuple[str, MapVariants]:
        """Return the name of the map before refinement, and the refinements."""
        return unrefined_map(model.cam_head, self.base), RefinedByLayers(self.sets(number_of_layers(model)))


@ANALYSES.register_module(name='layer-maps')
class LayerMaps(LayerAnalysis):
    """Quality of the map refined by each layer alone, by the mean of all layers, and not refined."""

    source = 'AReAM Fig. 1, 6'

    def sets(self, num_layers: int) -> dict[str, Sequence[int]]:
        """Return the single layers, all layers and none."""
        singles = {f'layer_{index + 1}': (index, ) for index in range(num_layers)}
        return {'unrefined': (), 'mean': tuple(range(num_layers)), **singles}

    def compute(self) -> dict[str, Any]:
        """Return ``maps``, with ``mIoU_at_threshold_of_mean`` of each, and ``num_layers``."""
        data = super().compute()
        results, threshold = self.results(), data['maps']['mean']['threshold']
        for name, rates in data['maps'].items():
            means = results[name].metrics(oracle=threshold)
            rates['mIoU_at_threshold_of_mean'] = means['oracle_mIoU']
        return data

    def table(self, record: Mapping[str, Any]) -> AnalysisTable:
        """Return the mIoU of each map of each run."""
        return rates_table(record, ('mIoU', 'mIoU_at_threshold_of_mean'))

    def draw(self, record: Mapping[str, Any], path: Path) -> None:
        """Draw a chart for each number of layers: dotted not refined, solid the mean, dashed each layer."""
        by_depth: dict[int, list] = {}
        for run in record['runs']:
            by_depth.setdefault(run['data']['num_layers'], []).append(run)
        figure = Figure(figsize=(max(4 * len(by_depth), 6), 4.2), layout='constrained')
        for index, (depth, runs) in enumerate(sorted(by_depth.items()), start=1):
            axes = figure.add_subplot(1, len(by_depth), index)
            curves = [_draw_depth(axes, run, depth) for run in runs]
            if len(curves) == 2:
                axes.fill_between(range(1, depth + 1), *curves, color='C1', alpha=.15, linewidth=0)
            axes.set(title=f'{depth} layers' if len(by_depth) > 1 else '', xlabel='layer',
                     ylabel='mIoU (%)' if index == 1 else '')
            axes.set_xticks(range(1, depth + 1))
            axes.legend(frameon=False, fontsize=8)
        save_figure(figure, path)


def _draw_depth(axes: Axes, run: Mapping[str, Any], depth: int) -> list[float]:
    """Draw a run; return the values of its layers."""
    data, label = run['data'], run['label']
    values = [best_of(data, f'layer_{number}') for number in range(1, depth + 1)]
    unrefined, refined = best_of(data, 'unrefined'), best_of(data, 'mean')
    line, = axes.plot(range(1, depth + 1), values, 'o--', markersize=4, label=f'{label}, one layer')
    color = line.get_color()
    axes.axhline(refined, color=color, label=f'{label}, mean of layers')
    axes.axhline(unrefined, color=color, linestyle=':', label=f'{label}, not refined')
    axes.axhspan(unrefined, refined, color=color, alpha=.08, linewidth=0)
    axes.spines[['top', 'right']].set_visible(False)
    return values


@ANALYSES.register_module(name='first-layers')
class FirstLayers(LayerAnalysis):
    """Quality of the map refined by the mean of the first K layers, for every K."""

    source = 'AReAM Table III'

    def sets(self, num_layers: int) -> dict[str, Sequence[int]]:
        """Return the first K layers."""
        return {f'first_{count}': tuple(range(count)) for count in range(1, num_layers + 1)}

    def table(self, record: Mapping[str, Any]) -> AnalysisTable:
        """Return a row for each run, a column for each K."""
        return _table_over_k(record, 'first')

    def draw(self, record: Mapping[str, Any], path: Path) -> None:
        """Draw a line for each run."""
        figure, axes = new_figure()
        for run in record['runs']:
            counts = range(1, run['data']['num_layers'] + 1)
            values = [best_of(run['data'], f'first_{count}') for count in counts]
            line, = axes.plot(counts, values, 'o-', label=run['label'])
            if not np.isnan(values).all():
                axes.plot(1 + int(np.nanargmax(values)), np.nanmax(values), 'o', markersize=10, fillstyle='none',
                          color=line.get_color())
        axes.set(xlabel='K, number of first layers', ylabel='mIoU (%)')
        axes.set_xticks(range(1, 1 + max(run['data']['num_layers'] for run in record['runs'])))
        axes.grid(alpha=.3)
        save_figure(figure, path, 'outside upper center')


@ANALYSES.register_module(name='last-layers')
class LastLayers(DepthAnalysis):
    """Quality of the attention of class tokens, averaged over the last K layers and not refined, for every K.

    The model needs a class token for each class.

    Args:
        published_sweep: See :class:`MapAnalysis`.
    """

    source = 'MCTformer Fig. 6'

    def variants(self, model: nn.Module) -> tuple[str, MapVariants]:
        """Return the name of any map, and the attention of the last layers."""
        tokens, classes = getattr(model.backbone, 'num_extra_tokens', 1), model.cam_head.num_classes
        if tokens != classes:
            raise UserError(f'the model has {tokens} class tokens and {classes} classes: last-layers needs a class '
                            'token for each class, as MCTformer, WeakTr and AReAM have')
        return unrefined_map(model.cam_head), ClassAttentionOfLastLayers(number_of_layers(model))

    def table(self, record: Mapping[str, Any]) -> AnalysisTable:
        """Return mIoU, FP and FN of each K of each run."""
        return rates_table(record, ('mIoU', 'FP', 'FN'))

    def draw(self, record: Mapping[str, Any], path: Path) -> None:
        """Draw mIoU, and FP and FN on an axis of their own, over K."""
        figure, axes = new_figure()
        other = axes.twinx()
        for index, run in enumerate(record['runs']):
            counts = range(1, run['data']['num_layers'] + 1)
            name = f'{run["label"]}, ' if len(record['runs']) > 1 else ''
            marker = 'os^v'[index % 4]
            for rate, color in (('mIoU', 'tab:blue'), ('FP', 'tab:red'), ('FN', 'tab:orange')):
                values = [best_of(run['data'], f'last_{count}', rate) for count in counts]
                target, line = (axes, '-') if rate == 'mIoU' else (other, '--')
                target.plot(counts, values, marker + line, color=color, label=f'{name}{rate}')
        axes.set(xlabel='K, number of last layers', ylabel='mIoU (%)')
        axes.set_xticks(range(1, 1 + max(run['data']['num_layers'] for run in record['runs'])))
        other.set(ylabel='FP, FN (%)')
        axes.grid(alpha=.3)
        save_figure(figure, path, 'outside upper center', fontsize=8)


@ANALYSES.register_module(name='layer-sets')
class LayerSets(LayerAnalysis):
    """Quality of the map refined by the shallow half of the layers, the deep half, and all.

    Args:
        layers: Further sets, by name: numbers of layers, counted from 1.
        base: See :class:`LayerAnalysis`.
        published_sweep: See :class:`MapAnalysis`.
    """

    source = 'TransCAM Table 3'

    def __init__(self, layers: Optional[Mapping[str, Sequence[int]]] = None, base: Optional[str] = None,
                 published_sweep: bool = False) -> None:
        super().__init__(base, published_sweep)
        self.further = layers or {}

    def sets(self, num_layers: int) -> dict[str, Sequence[int]]:
        """Return the halves, all layers, none, and the further sets."""
        half = num_layers // 2
        wrong = [layer for layers in self.further.values() for layer in layers if not 1 <= layer <= num_layers]
        if wrong:
            raise UserError(f'layers has {wrong[0]}: the layers of the model are numbered from 1 to {num_layers}')
        further = {name: [number - 1 for number in numbers] for name, numbers in self.further.items()}
        return {'unrefined': (), 'shallow': range(half), 'deep': range(half, num_layers), 'all': range(num_layers),
                **further}

    def table(self, record: Mapping[str, Any]) -> AnalysisTable:
        """Return the rates of each set of each run."""
        return rates_table(record, ('mIoU', 'FP', 'FN', 'precision', 'recall'))

    def draw(self, record: Mapping[str, Any], path: Path) -> None:
        """Draw a bar for each set of each run."""
        draw_bars(record, path)


def _table_over_k(record: Mapping[str, Any], prefix: str) -> AnalysisTable:
    """Return a row for each run and a column for each number of layers."""
    most = max(run['data']['num_layers'] for run in record['runs'])
    rows = []
    for run in record['runs']:
        maps = run['data']['maps']
        values = [maps.get(f'{prefix}_{count}', {}).get('mIoU') for count in range(1, most + 1)]
        rows.append([run['label'], *map(number, values)])
    return AnalysisTable(['K', *map(str, range(1, most + 1))], rows, record['threshold_rule'])
