"""Figures of evaluation results: rates over thresholds, over classes and over the values of a setting."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Optional, Union

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmwsss.utils import atomic_path

__all__ = ['new_figure', 'plot_class_iou', 'plot_maps_over_setting', 'plot_maps_over_thresholds',
           'plot_rates_over_thresholds', 'save_figure']

PathLike = Union[str, os.PathLike]


def plot_class_iou(iou: pd.Series, mean: float, path: PathLike) -> None:
    """Draw the IoU of each class as a bar, and the mIoU as a line.

    Args:
        iou (pd.Series): (K,) in percent, indexed by class name; NaN has no bar.
        mean (float): The mIoU in percent.
        path (str or PathLike): The figure: ``.png``, ``.pdf`` or ``.svg``.
    """
    figure, axes = new_figure()
    axes.bar(range(len(iou)), np.nan_to_num(iou), 0.7, color='tab:blue')
    axes.axhline(mean, color='0.3', linestyle='--', label=f'mIoU {mean:.2f}')
    axes.set_xticks(range(len(iou)), iou.index, rotation=90 if len(iou) > 8 else 0, fontsize=9 if len(iou) < 30 else 6)
    axes.set(ylabel='IoU (%)', ylim=(0, 100))
    save_figure(figure, path, 'outside upper right')


def plot_rates_over_thresholds(means: pd.DataFrame, marks: Mapping[str, float], path: PathLike) -> None:
    """Draw mIoU, FP and FN over the background threshold.

    Args:
        means (pd.DataFrame): Columns ``mIoU``, ``FP`` and ``FN`` in percent, indexed by threshold.
        marks (Mapping[str, float]): Thresholds that get a marker on the mIoU curve, by the name in the legend.
        path (str or PathLike): The figure.
    """
    figure, axes = new_figure()
    for name, color in (('mIoU', 'tab:blue'), ('FP', 'tab:red'), ('FN', 'tab:orange')):
        axes.plot(means.index, means[name], color=color, label=name)
    for (text, threshold), style in zip(marks.items(), 'os^v'):
        miou = means['mIoU'][threshold]
        axes.plot(threshold, miou, style, color='tab:blue', label=f'{text}: {miou:.2f} at {threshold:g}')
    axes.set(xlabel='background threshold', ylabel='%', ylim=(0, 100))
    axes.grid(alpha=.3)
    save_figure(figure, path, 'outside upper right')


def plot_maps_over_thresholds(curves: Mapping[str, pd.Series], path: PathLike) -> None:
    """Draw the mIoU of several CAMs over the background threshold, with a marker at the best of each.

    Args:
        curves (Mapping[str, pd.Series]): mIoU in percent by name of the map, indexed by threshold.
        path (str or PathLike): The figure.
    """
    figure, axes = new_figure()
    for name, curve in curves.items():
        line, = axes.plot(curve.index, curve, label=name)
        if curve.notna().any():
            axes.plot(curve.idxmax(), curve.max(), 'o', color=line.get_color())
    axes.set(xlabel='background threshold', ylabel='mIoU (%)')
    axes.grid(alpha=.3)
    save_figure(figure, path, 'outside upper center', fontsize=8)


def plot_maps_over_setting(rates: Mapping[str, pd.DataFrame], setting: str, path: PathLike) -> None:
    """Draw the best mIoU of CAMs over the values of a setting; with a single map also its FP and FN.

    Args:
        rates (Mapping[str, pd.DataFrame]): Columns ``mIoU``, ``FP`` and ``FN`` in percent by name of the map, indexed
            by the value of the setting.
        setting (str): Name of the setting.
        path (str or PathLike): The figure.
    """
    figure, axes = new_figure()
    axes.grid(alpha=.3)
    for name, frame in rates.items():
        axes.plot(_positions(frame.index), frame['mIoU'], 'o-', label=name)
    axes.set(xlabel=setting, ylabel='oracle mIoU (%)')
    if len(rates) == 1:
        frame, = rates.values()
        other = axes.twinx()
        for name, color in (('FP', 'tab:red'), ('FN', 'tab:orange')):
            other.plot(_positions(frame.index), frame[name], 's--', color=color, label=name)
        other.set(ylabel='FP, FN (%)')
    save_figure(figure, path, 'outside upper center', fontsize=8)


def new_figure() -> tuple[Figure, Axes]:
    """Build a figure of one chart, without a frame at the top and the right."""
    figure = Figure(figsize=(7, 4.2), layout='constrained')
    axes = figure.add_subplot()
    axes.spines[['top', 'right']].set_visible(False)
    return figure, axes


def _positions(values: Sequence[Any]) -> list:
    """Return the values of a setting as numbers, or else as words."""
    values = list(values)
    return values if all(isinstance(value, (int, float)) for value in values) else list(map(str, values))


def save_figure(figure: Figure, path: PathLike, legend: Optional[str] = None, **legend_options: Any) -> None:
    """Write a figure, whole or not at all.

    Args:
        figure (Figure): The figure.
        path (str or PathLike): The file: ``.png``, ``.pdf`` or ``.svg``.
        legend (str, optional): Where the legend goes, as in matplotlib. Defaults to no legend.
        **legend_options: Further arguments of the legend.
    """
    if legend is not None:
        figure.legend(**{'frameon': False, 'loc': legend, 'ncols': 3, **legend_options})
    with atomic_path(path) as tmp:
        figure.savefig(tmp, dpi=150)
