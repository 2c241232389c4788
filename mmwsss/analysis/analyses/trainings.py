"""Figures of what trainings have left: precision of clipped labels, entropies and weights of layers."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmwsss.utils.json_lines import read_lines

from ..plots import new_figure, save_figure
from .base import ANALYSES, RunAnalysis
from .records import rounded, runs_of

__all__ = ['ClippingPrecision', 'Reactivation']

TRACES = ('precision_all', 'precision_kept', 'accuracy_all', 'accuracy_kept', 'kept_share')
COLUMNS = 60


@ANALYSES.register_module(name='clipping-precision')
class ClippingPrecision(RunAnalysis):
    """Precision of the pseudo labels that gradient clipping keeps, and mIoU of the network, over a training.

    Give work directories of ``weaktr-retrain`` trainings: with ``KeptPrecisionHook`` and true masks for the precision;
    as an upper bound, one in which ``LoadTrueMask(ignore_wrong=True)`` leaves only right labels.
    """

    source = 'WeakTr Fig. 5'

    def read(self, work_dir: Path) -> dict[str, Any]:
        """Read ``kept_precision.jsonl`` and the logged mIoU; see the base class."""
        path = work_dir / 'kept_precision.jsonl'
        lines = read_lines(path) if path.is_file() else []
        judged = _validations(work_dir)
        if not lines and not judged:
            raise FileNotFoundError(f'{work_dir} has neither kept_precision.jsonl, which KeptPrecisionHook writes '
                                    'where there are true masks, nor a logged mIoU')
        by_epoch = all(line.get('epoch') is not None for line in lines)
        return dict(by_epoch=by_epoch, progress=[line['epoch' if by_epoch else 'iter'] for line in lines],
                    **{name: [line.get(name) for line in lines] for name in TRACES},
                    val_progress=[step for step, _ in judged], val_miou=[value for _, value in judged])

    def summary(self, data: Mapping[str, Any]) -> dict[str, float]:
        """Return the last numbers."""
        named = {'precision of all': 'precision_all', 'of those kept': 'precision_kept', 'mIoU': 'val_miou'}
        return {name: data[key][-1] for name, key in named.items() if data[key] and data[key][-1] is not None}

    def draw(self, record: Mapping[str, Any], path: Path) -> None:
        """Draw precision on the left axis and mIoU on the right one."""
        figure, axes = new_figure()
        other = axes.twinx()
        runs = runs_of(record)
        for index, (label, data) in enumerate(runs):
            color = f'C{index}'
            for key, style, name in (('precision_kept', '-', 'kept labels'), ('precision_all', ':', 'all labels')):
                if data['progress']:
                    axes.plot(data['progress'], data[key], style, color=color, label=f'{label}: {name}')
            if data['val_progress']:
                other.plot(data['val_progress'], data['val_miou'], 's--', color=color, label=f'{label}: mIoU')
        axes.set(xlabel='epoch' if runs[0][1]['by_epoch'] else 'iteration', ylabel='precision of pseudo labels (%)')
        other.set(ylabel='mIoU on val (%)')
        axes.grid(alpha=.3)
        save_figure(figure, path, 'outside upper center', fontsize=8, ncols=3)


def _validations(work_dir: Path) -> list[tuple[float, float]]:
    """Return progress and mIoU of each validation in the logs of a training, which may have been resumed."""
    found = {}
    for log in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in read_lines(log):
            key = next((name for name in line if name.split('/')[-1] == 'mIoU'), None)
            if key is not None and 'step' in line:
                found[line['step']] = line[key]
    return sorted(found.items())


@ANALYSES.register_module(name='reactivation')
class Reactivation(RunAnalysis):
    """Entropies, weights and losses of layers, and numbers of pairs, over a training with AReAM's mechanism.

    Give work directories of trainings with ``ReactivationTraceHook`` among their ``custom_hooks``.
    """

    source = 'AReAM Eq. 8 to 10'

    def read(self, work_dir: Path) -> dict[str, Any]:
        """Read ``reactivation.jsonl``; see the base class."""
        path = work_dir / 'reactivation.jsonl'
        if not path.is_file():
            raise FileNotFoundError(f"{path} does not exist: train with dict(type='ReactivationTraceHook') among "
                                    'custom_hooks')
        lines = read_lines(path)
        if not lines:
            raise FileNotFoundError(f'{path} is empty: the training has not come to the first line')
        by_epoch = all(line.get('epoch') is not None for line in lines)
        keys = [key for key in lines[0] if key not in ('iter', 'epoch')]
        return dict(by_epoch=by_epoch, progress=[line['epoch' if by_epoch else 'iter'] for line in lines],
                    **{key: rounded(np.array([line[key] for line in lines], np.float64), 8) for key in keys})

    def summary(self, data: Mapping[str, Any]) -> dict[str, float]:
        """Return the smallest range of entropies over layers in an iteration."""
        return {'range of entropies': float(np.ptp(data['entropies'], axis=1).min())} if 'entropies' in data else {}

    def note(self, data: Mapping[str, Any]) -> str:
        """Warn of entropies without differences and of weights that never change."""
        if 'entropies' not in data:
            return ''
        doubts = []
        if np.ptp(data['entropies'], axis=1).max() < 1e-5:
            doubts.append('entropies of layers differ by less than 1e-5')
        extremes = np.isclose(data['counterparts'], 0) | np.isclose(data['counterparts'], 1)
        if len(extremes) > 1 and extremes.all():
            doubts.append('all counterparts are 0 or 1')
        return f'{" and ".join(doubts)}: is normalize_cam off, or the precision reduced?' if doubts else ''

    def draw(self, record: Mapping[str, Any], path: Path) -> None:
        """Draw, for each run, heatmaps of layers over progress, lines of the weights, and numbers of pairs."""
        runs = runs_of(record)
        figure = Figure(figsize=(14, 5.6 * len(runs)), layout='constrained')
        grid = figure.subplots(2 * len(runs), 3, squeeze=False)
        titles = dict(entropies='entropy minus ln N', counterparts='weight of the loss', losses='loss')
        for number, (label, data) in enumerate(runs):
            upper, lower = grid[2 * number], grid[2 * number + 1]
            for axes, (key, title) in zip(upper, titles.items()):
                _draw_layers(figure, axes, data, key, f'{label}: {title}')
            _draw_lines(lower[0], data, 'weights', 'weight for maps, line for each layer')
            _draw_lines(lower[1], data, 'counterparts', 'weight of the loss, line for each layer')
            _draw_pairs(lower[2], data)
        save_figure(figure, path)


def _draw_layers(figure: Figure, axes: Axes, data: Mapping[str, Any], key: str, title: str) -> None:
    """Draw numbers of layers over progress as colors."""
    axes.set_title(title, fontsize=9)
    if key not in data:
        axes.set_axis_off()
        return
    values, progress = np.array(data[key], np.float64), data['progress']
    parts = np.array_split(np.arange(len(values)), min(COLUMNS, len(values)))
    pooled = np.stack([values[part].mean(axis=0) for part in parts], axis=1)
    first = 1 + (len(data['counterparts'][0]) - len(pooled) if key == 'losses' and 'counterparts' in data else 0)
    drawn = axes.imshow(pooled, aspect='auto', origin='lower', interpolation='nearest',
                        extent=(progress[0], max(progress[-1], progress[0] + 1e-6), first - .5,
                                first + len(pooled) - .5))
    axes.set(ylabel='layer', xlabel=_unit(data))
    figure.colorbar(drawn, ax=axes)


def _draw_lines(axes: Axes, data: Mapping[str, Any], key: str, title: str) -> None:
    axes.set_title(title, fontsize=9)
    values = np.array(data.get(key, np.zeros((0, 0))), np.float64)
    colors = colormaps['viridis'](np.linspace(0, 1, max(values.shape[-1], 1)))
    for layer, (line, color) in enumerate(zip(values.T, colors), start=1):
        axes.plot(data['progress'], line, color=color, linewidth=1, label=f'{layer}')
    axes.set(xlabel=_unit(data), ylim=(-.05, 1.05))
    if values.size:
        axes.legend(title='layer', fontsize=7, ncols=2, loc='center left', bbox_to_anchor=(1, .5), frameon=False)


def _draw_pairs(axes: Axes, data: Mapping[str, Any]) -> None:
    axes.set_title('pairs of an image, and share of ignored tokens', fontsize=9)
    other = axes.twinx()
    for target, key, color in zip((axes, axes, other), ('positive_pairs', 'negative_pairs', 'ignored_share'),
                                  itertools.count()):
        if key in data:
            target.plot(data['progress'], data[key], color=f'C{color}', label=key.replace('_', ' '))
    axes.set(xlabel=_unit(data), ylabel='pairs')
    other.set(ylabel='ignored share', ylim=(0, 1))
    lines = [line for part in (axes, other) for line in part.get_lines()]
    axes.legend(lines, [line.get_label() for line in lines], fontsize=7, frameon=False)


def _unit(data: Mapping[str, Any]) -> str:
    return 'epoch' if data['by_epoch'] else 'iteration'
