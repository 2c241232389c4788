"""Charts and sheets that several analyses share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..plots import new_figure, save_figure
from ..sheet import heat_overlay
from .records import decode_photo, runs_of

__all__ = ['Cell', 'draw_grid', 'draw_heatmaps', 'draw_layer_curves', 'draw_panels', 'min_max']

CELL_INCHES = 1.9
MAX_COLUMNS = 16


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
    shape = np.median([cell.picture.shape[0] / cell.picture.shape[1] for row in rows for cell in row])
    size = CELL_INCHES * columns + .3, (CELL_INCHES * shape + .35) * len(rows)
    figure = Figure(figsize=size, layout='constrained')
    grid = figure.subplots(len(rows), columns, squeeze=False)
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
    drawn = axes.imshow(np.ma.masked_invalid(cell.picture) if cell.picture.ndim == 2 else cell.picture,
                        cmap=cell.colormap, vmin=cell.limits[0], vmax=cell.limits[1], interpolation='nearest')
    drawn.cmap.set_bad('0.8')
    axes.set_title(cell.title, fontsize=8, pad=3)
    if cell.point is not None:
        height, width = cell.picture.shape[:2]
        axes.plot(cell.point[0] * width - .5, cell.point[1] * height - .5, 'o', color='red', markersize=5,
                  markeredgecolor='white', markeredgewidth=.8)
    if cell.bar:
        figure.colorbar(drawn, ax=axes, fraction=.046, pad=.03).ax.tick_params(labelsize=7)


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
        photo = decode_photo(image['photo'])
        for number, row in enumerate(image['rows']):
            cells = [Cell(photo, image['id'] if number == 0 else '', point=row.get('point'))]
            for label, data in runs:
                other = data['images'][place]['rows'][number]
                prefix = f'{label}: ' if len(runs) > 1 else ''
                cells += [_panel_cell(photo, panel, prefix, row.get('point')) for panel in other['panels']]
            rows += [cells[start:start + MAX_COLUMNS] for start in range(0, len(cells), MAX_COLUMNS)]
            names += [row['name'], *[''] * (len(rows) - len(names) - 1)]
    draw_grid(rows, path, names)


def _panel_cell(photo: np.ndarray, panel: Mapping[str, Any], prefix: str, point: Optional[Sequence[float]]) -> Cell:
    """Build the cell of a panel; see :func:`draw_panels`."""
    title = prefix + panel['title']
    if 'photo' in panel:
        return Cell(decode_photo(panel['photo']), title)
    values = np.array(panel['map'], np.float64)
    if panel['style'] == 'matrix':
        return Cell(values, title, limits=(0, 1), bar=True)
    values = min_max(values)
    if panel['style'] == 'overlay':
        return Cell(heat_overlay(photo, values), title, point=point)
    smooth = cv2.resize(values.astype(np.float32), photo.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return Cell(smooth, title, 'magma', (0, 1), point)


def min_max(values: np.ndarray) -> np.ndarray:
    """Scale numbers to [0, 1]; zeros where all are equal."""
    low, high = np.nanmin(values), np.nanmax(values)
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def draw_heatmaps(charts: Mapping[str, tuple[np.ndarray, Sequence[str]]], columns: str, path: Path,
                  diverging: bool = False) -> None:
    """Draw tables of numbers as colors, one for each run, with bars.

    Args:
        charts: Numbers (rows, columns), of which NaN is gray, and the names of the rows, by label.
        columns: Name of the x axis.
        path: The figure.
        diverging: Blue below 0 and red above, with 0 in the middle.
    """
    height = max(len(names) for _, names in charts.values())
    figure = Figure(figsize=(4.6 * len(charts), 1.2 + .22 * height), layout='constrained')
    for axes, (label, (values, names)) in zip(figure.subplots(1, len(charts), squeeze=False)[0], charts.items()):
        edge = np.nanmax(np.abs(values), initial=1e-12) if diverging else None
        drawn = axes.imshow(np.ma.masked_invalid(values), cmap='RdBu_r' if diverging else 'viridis', aspect='auto',
                            vmin=-edge if diverging else None, vmax=edge, interpolation='nearest')
        drawn.cmap.set_bad('0.8')
        axes.set_yticks(range(len(names)), names, fontsize=7)
        axes.set_title(label, fontsize=10)
        axes.set_xlabel(columns)
        figure.colorbar(drawn, ax=axes)
    save_figure(figure, path)
