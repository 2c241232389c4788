"""Quality of maps against masks at every background threshold, in one pass for all maps of a model."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
import torch
from torch import Tensor, nn

from mmwsss.evaluation import MEANS, EvaluationResult, ThresholdSweep, default_thresholds, published_thresholds
from mmwsss.models.utils import resize_maps, without_padding
from mmwsss.utils.errors import UserError

from ..plots import new_figure, save_figure
from .base import ModelAnalysis, Sample
from .map_variants import VariantHead, with_head
from .tables import AnalysisTable, number

__all__ = ['MapAnalysis', 'best_of', 'draw_bars', 'rates_of', 'rates_table', 'split_words']

BEST = ('At the threshold with the best mIoU, which the masks chose, of {first:g} to {last:g}. Image labels are given; '
        'means are over classes with background.')


class MapAnalysis(ModelAnalysis):
    """Base class of analyses that evaluate maps. Views are fused and maps normalized as the config says.

    Args:
        published_sweep: Choose thresholds from 0 to 0.59 instead of 0 to 0.99, as the published scripts do.
    """

    needs_masks = True
    needs_labels = True

    def __init__(self, published_sweep: bool = False) -> None:
        self.grid = (published_thresholds() if published_sweep else default_thresholds()).tolist()
        self.threshold_rule = BEST.format(first=self.grid[0], last=self.grid[-1])
        self._sweeps: dict[str, ThresholdSweep] = {}
        self._classes: tuple[str, ...] = ()

    @abstractmethod
    def head(self, model: nn.Module) -> tuple[nn.Module, Sequence[str]]:
        """Return the head that gives the maps, and their names.

        Raises:
            UserError: The model cannot give them.
        """

    def thresholds(self, model: nn.Module) -> list[float]:
        """Return the thresholds at which maps are evaluated."""
        return self.grid

    def process(self, model: nn.Module, sample: Sample) -> None:
        """Compute all maps of the classes that an image shows, and count its pixels."""
        if not hasattr(model, 'predict_cams'):
            raise UserError(f'{type(model).__name__} gives no class activation maps')
        head, names = self.head(model)
        if not self._sweeps:
            count, thresholds = 1 + len(sample.image_labels), self.thresholds(model)
            self._sweeps = {name: ThresholdSweep(count, thresholds) for name in names}
            self._classes = ('background', *sample.classes)
        maps = maps_of_present(model, sample, head, names)
        mask = sample.mask.to(sample.inputs.device)
        for name, sweep in self._sweeps.items():
            found = resize_maps(without_padding(maps[name], sample.metainfo), mask.shape)[0]
            sweep.update(found, mask, sample.present)

    def state(self) -> tuple:
        """Return the counts of all maps."""
        return self._sweeps, self._classes

    def merge(self, states: Iterable[tuple]) -> None:
        """Add up the counts of all processes."""
        total: dict[str, ThresholdSweep] = {}
        for sweeps, classes in states:
            self._classes = self._classes or classes
            for name, sweep in sweeps.items():
                if name in total:
                    total[name].merge(sweep)
                else:
                    total[name] = sweep
        self._sweeps = total

    def results(self) -> dict[str, EvaluationResult]:
        """Return the rates of each map at all thresholds."""
        return {name: sweep.result(self._classes) for name, sweep in self._sweeps.items()}

    def compute(self) -> dict[str, Any]:
        """Return ``maps``: for each its rates at the best threshold, and as curves over thresholds."""
        return {'maps': {name: rates_of(result, self.grid) for name, result in self.results().items()}}

    def summary(self, data: Mapping[str, Any]) -> dict[str, float]:
        """Return the best mIoU of each map."""
        return {f'{name} mIoU': rates['mIoU'] for name, rates in data['maps'].items()}


def maps_of_present(model: nn.Module, sample: Sample, head: nn.Module, names: Sequence[str]) -> dict[str, Tensor]:
    """Compute the maps of the classes that an image shows.

    Returns:
        Maps (1, P, H, W) in [0, 1] at the size of the input, by name.
    """
    steps = getattr(getattr(model, 'test_steps', None), 'steps', ())
    classes = torch.tensor(sample.present, dtype=torch.long, device=sample.inputs.device)
    with with_head(model, head, names):
        if not len(classes):
            return {name: sample.inputs.new_zeros(1, 0, *sample.inputs.shape[-2:]) for name in names}
        if not steps or isinstance(head, VariantHead):
            return model.predict_cams(sample.inputs, scored_view=None, classes=classes)
        maps = model.predict_cams(sample.inputs, scored_view=None)  # label steps take all classes
        return {name: model.refine_cams(sample.inputs, maps[name])[:, classes] for name in names}


def rates_of(result: EvaluationResult, grid: Sequence[float]) -> dict[str, Any]:
    """Return ``threshold`` and the means at the best of a grid of thresholds, and ``curve``, the means at all."""
    numbers = result.to_dict()
    threshold = result.best(among=grid)
    means = result.metrics(oracle=threshold)
    best = {name: means[f'oracle_{name}'] for name in MEANS}
    curve = {'thresholds': numbers['thresholds'], **{name: numbers[key] for name, key in MEANS.items()}}
    return {'threshold': threshold, **best, 'curve': curve, 'notes': numbers['notes']}


def best_of(data: Mapping[str, Any], name: str, rate: str = 'mIoU') -> float:
    """Return a rate of a map at its best threshold; NaN where it is undefined."""
    value = data['maps'][name][rate]
    return float('nan') if value is None else value


def draw_bars(record: Mapping[str, Any], path: Path) -> None:
    """Draw the best mIoU of each map as a bar, those of a run in one color."""
    figure, axes = new_figure()
    names = list(dict.fromkeys(name for run in record['runs'] for name in run['data']['maps']))
    width = .8 / len(record['runs'])
    for index, run in enumerate(record['runs']):
        places = np.arange(len(names)) + (index - (len(record['runs']) - 1) / 2) * width
        values = [best_of(run['data'], name) if name in run['data']['maps'] else np.nan for name in names]
        bars = axes.bar(places, np.nan_to_num(values), width, label=run['label'])
        axes.bar_label(bars, ['' if np.isnan(value) else f'{value:.1f}' for value in values], fontsize=8)
    axes.set_xticks(range(len(names)), names)
    axes.set(ylabel='mIoU (%)')
    save_figure(figure, path, 'outside upper center' if len(record['runs']) > 1 else None)


def rates_table(record: Mapping[str, Any], rates: Sequence[str]) -> AnalysisTable:
    """Return a table with a row for each map of each run, and its threshold and rates."""
    rows = [[run['label'], name, number(found['threshold']), *(number(found[rate]) for rate in rates)]
            for run in record['runs'] for name, found in run['data']['maps'].items()]
    headings = ['run', 'map', 'threshold', *(rate.replace('_', ' ') for rate in rates)]
    return AnalysisTable(headings, rows, record['threshold_rule'], words=2)


def split_words(value: Union[None, str, Sequence[str]]) -> Optional[list[str]]:
    """Return the words of an option, which may be given as ``a,b``."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(',')]
    return list(value) if value else None
