"""Charts and sheets that several analyses share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import cv2
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from ..plots import new_figure, save_figure
from ..sheet import heat_overlay
from .records import decode_photo, runs_of

__all__ = ['Cell', 'Heatmap', 'draw_grid', 'draw_heatmaps', 'draw_layer_curves', 'draw_panels', 'min_max']

CELL_INCHES = 1.9
MAX_COLUMNS = 9


@dataclass
class Cell:
    """A picture in a sheet.

    Attributes:
        picture: (H, W, 3) uint8 RGB, or (H, W) numbers, of which NaN is gray.
        title: Line above it.
        colormap: Of numbers.
        limits: Numbers that get the first and the last color; by default the least and the largest.
        point: (x, y) in [0, 1] to mark by a red dot.
        bar: Whether to draw the bar of colors beside it.
    """

    picture: np.ndarray
    title: str = ''
    colormap: str = 'viridis'
    limits: tuple[Optional[float], Optional[float]] = (None, None)
    point: Optional[Sequence[float]] = None
    bar: bool = False


def draw_layer_curves(runs: Mapping[str, Mapping[str, Sequence[float]]], quantity: str, path: Path,
                      limits: tuple = (None, None)) -> None:
    """Draw a quantity over the layers of networks.

    Args:
        runs: ``mean`` and, as edges of a band, ``low`` and ``high`` by layer, for each label.
        quantity: Name of the y axis.
        path: The figure.
        limits: Lower and upper end of the y axis.
    """
    figure, axes = new_figure()
    for label, data in runs.items():
        layers = range(1, len(data['mean']) + 1)
        line, = axes.plot(layers, data['mean'], 'o-', label=label)
        axes.fill_between(layers, data['low'], data['high'], color=line.get_color(), alpha=.15, linewidth=0)
    axes.set(xlabel='layer', ylabel=quantity, ylim=limits)
    axes.set_xticks(range(1, 1 + max(len(data['mean']) for data in runs.values())))
    axes.grid(alpha=.3)
    save_figure(figure, path, 'outside upper center')


def draw_grid(rows: Sequence[Sequence[Cell]], path: Path, names: Sequence[str] = ()) -> None:
    """Draw pictures in rows, each with its title.

    Args:
        rows: The pictures; rows may differ in length.
        path: The figure.
        names: Texts at the left of the rows.
    """
    columns = max(map(len, rows))
    heights = [CELL_INCHES * max(cell.picture.shape[0] / cell.picture.shape[1] for cell in row) + .3 for row in rows]
    figure = Figure(figsize=(CELL_INCHES * columns + .3, sum(heights)), layout='constrained')
    grid = figure.subplots(len(rows), columns, squeeze=False, height_ratios=heights)
    for axes in grid.flat:
        axes.set_axis_off()
    for number, row in enumerate(rows):
        for axes, cell in zip(grid[number], row):
            _draw_cell(figure, axes, cell)
        if number < len(names):
            grid[number, 0].text(-.06, .5, names[number], transform=grid[number, 0].transAxes, rotation=90, fontsize=9,
                                 ha='right', va='center')
    save_figure(figure, path)


def _draw_cell(figure: Figure, axes: Axes, cell: Cell) -> None:
    picture = np.ma.masked_invalid(cell.picture) if cell.picture.ndim == 2 else cell.picture
    drawn = axes.imshow(picture, cmap=_colormap(cell.colormap), vmin=cell.limits[0], vmax=cell.limits[1],
                        interpolation='nearest')
    axes.set_title(cell.title, fontsize=8, pad=3)
    if cell.point is not None:
        height, width = cell.picture.shape[:2]
        axes.plot(cell.point[0] * width - .5, cell.point[1] * height - .5, 'o', color='red', markersize=5,
                  markeredgecolor='white', markeredgewidth=.8)
    if cell.bar:
        figure.colorbar(drawn, ax=axes, fraction=.046, pad=.03).ax.tick_params(labelsize=7)


def _colormap(name: str) -> Colormap:
    """Return a map of colors in which missing numbers are gray."""
    return colormaps[name].with_extremes(bad='0.8')


def draw_panels(record: Mapping[str, Any], path: Path) -> None:
    """Draw maps over photographs: a row for each image and class, with the panels of all runs side by side.

    Args:
        record: Of an analysis whose data have ``images``: a list of dicts with ``id``, ``photo`` (text of a
            photograph), and ``rows``, dicts with ``name``, perhaps ``point`` (x, y) in [0, 1], and ``panels``: dicts
            with ``title``, ``map`` (nested list) and ``style``, ``'overlay'`` (jet over the gray photograph),
            ``'magma'`` or ``'matrix'``, or with ``photo`` in place of a map.
        path: The figure.
    """
    runs = runs_of(record)
    rows, names = [], []
    for place, image in enumerate(runs[0][1]['images']):
        for number, row in enumerate(image['rows']):
            first = Cell(decode_photo(image['photo']), image['id'], point=row.get('point'))
            panels = {label: data['images'][place]['rows'][number]['panels'] for label, data in runs}
            one_row = 1 + sum(map(len, panels.values())) <= MAX_COLUMNS
            groups = [list(panels)] if one_row else [[label] for label in panels]
            for labels in groups:
                rows.append([first, *(_panel_cell(first, panel, f'{label}: ' * (len(runs) > 1))
                                      for label in labels for panel in panels[label])])
                names.append(row['name'])
    draw_grid(rows, path, names)


def _panel_cell(first: Cell, panel: Mapping[str, Any], prefix: str) -> Cell:
    """Build the cell of a panel beside the cell of its photograph; see :func:`draw_panels`."""
    title, photo = prefix + panel['title'], first.picture
    if 'photo' in panel:
        return Cell(decode_photo(panel['photo']), title)
    values = np.array(panel['map'], np.float64)
    if panel['style'] == 'matrix':
        return Cell(values, title, limits=(0, 1), bar=True)
    values = min_max(values)**panel.get('gamma', 1)
    if panel['style'] == 'overlay':
        return Cell(heat_overlay(photo, values), title, point=first.point)
    factor = photo.shape[0] / values.shape[0]
    smooth = cv2.resize(values.astype(np.float32), None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    return Cell(smooth, title, 'magma', (0, 1), first.point)


def min_max(values: np.ndarray) -> np.ndarray:
    """Scale numbers to [0, 1]; zeros where all are equal."""
    low, high = np.nanmin(values), np.nanmax(values)
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


@dataclass
class Heatmap:
    """A table of numbers, drawn as colors.

    Attributes:
        values: (rows, columns), of which NaN is gray.
        rows: Names of the rows.
        columns: Names of the columns.
        title: Line above it.
        ylabel: What the rows are.
        diverging: Blue below 0 and red above, with white at 0.
    """

    values: np.ndarray
    rows: Sequence[str]
    columns: Sequence[str]
    title: str
    ylabel: str = ''
    diverging: bool = False


def draw_heatmaps(charts: Sequence[Sequence[Heatmap]], path: Path) -> None:
    """Draw tables of numbers as colors, in rows, each with a bar of its colors."""
    heights = [1.1 + .2 * max(len(chart.rows) for chart in row) for row in charts]
    columns = max(map(len, charts))
    figure = Figure(figsize=(5.2 * columns, sum(heights)), layout='constrained')
    grid = figure.subplots(len(charts), columns, squeeze=False, height_ratios=heights)
    for place, row in zip(grid, charts):
        for axes, chart in zip(place, row):
            edge = np.nanmax(np.abs(chart.values), initial=1e-12) if chart.diverging else None
            colors = _colormap('RdBu_r' if chart.diverging else 'viridis')
            drawn = axes.imshow(np.ma.masked_invalid(chart.values), cmap=colors, aspect='auto',
                                interpolation='nearest', vmin=edge and -edge, vmax=edge)
            axes.set_yticks(range(len(chart.rows)), chart.rows, fontsize=7)
            wide = max(map(len, chart.columns)) > 3
            axes.set_xticks(range(len(chart.columns)), chart.columns, fontsize=7, rotation=90 if wide else 0)
            axes.set_title(chart.title, fontsize=9)
            axes.set_ylabel(chart.ylabel, fontsize=8)
            figure.colorbar(drawn, ax=axes).ax.tick_params(labelsize=7)
    save_figure(figure, path)
