"""Draw a segmentation or class activation maps over an image."""

from collections.abc import Sequence
from typing import Any, Optional, Union

import cv2
import numpy as np
from matplotlib.figure import Figure

from mmwsss.datasets import index_palette

from .sheet import color_labels, compose_sheet, draw_names, fit_cell, heat_overlay, write_caption

__all__ = ['overlay', 'show_cams']


def overlay(image: np.ndarray,
            mask_or_cams: np.ndarray,
            classes: Sequence[str] = (),
            palette: Optional[Sequence[Sequence[int]]] = None,
            alpha: float = 0.5,
            contours: bool = True) -> np.ndarray:
    """Draw a label map, or class activation maps (CAMs), over an image.

    A label map is drawn in the colors of its classes, with contours and, if ``classes`` is given, the name of each
    class on its largest part. Background and ignored pixels (255) keep the colors of the image. Of CAMs, the highest
    value of each pixel is drawn in the jet colors.

    Args:
        image (np.ndarray): (H, W, 3) uint8 RGB.
        mask_or_cams (np.ndarray): (H, W) integers, where 0 is the background; or (C, h, w) or (h, w) floating point in
            [0, 1].
        classes (Sequence[str]): Names of the label values 0, 1, ...; none are written if it is empty.
        palette (Sequence, optional): RGB in 0..255 of the label values. Defaults to the colors of VOC.
        alpha (float): Weight of the drawn colors. Defaults to 0.5.
        contours (bool): Whether to draw the outlines of the classes.

    Returns:
        np.ndarray: (H, W, 3) uint8 RGB, a new array.

    Raises:
        ValueError: The label map differs from the image in size, or an array has the wrong number of dimensions.
    """
    if np.issubdtype(mask_or_cams.dtype, np.floating):
        if mask_or_cams.ndim not in (2, 3):
            raise ValueError(f'CAMs must be (C, h, w) or (h, w), got {mask_or_cams.shape}')
        heat = mask_or_cams if mask_or_cams.ndim == 2 else mask_or_cams.max(axis=0, initial=0)
        return heat_overlay(image, heat, alpha)
    if mask_or_cams.shape != image.shape[:2]:
        raise ValueError(f'the label map is {mask_or_cams.shape}, the image {image.shape[:2]}: both must have one size')
    palette = index_palette(256) if palette is None else palette
    drawn = np.ascontiguousarray(image).copy()
    shown = (mask_or_cams > 0) & (mask_or_cams < min(len(palette), 255))
    colors = color_labels(mask_or_cams, palette)
    drawn[shown] = cv2.addWeighted(colors, alpha, drawn, 1 - alpha, 0)[shown]
    names = []
    for value in np.unique(mask_or_cams[shown]):
        region = (mask_or_cams == value).astype(np.uint8)
        if contours:
            lines, _ = cv2.findContours(region, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
            width = max(round(max(image.shape[:2]) / 400), 1)
            cv2.drawContours(drawn, lines, -1, [int(channel) for channel in palette[value]], width)
        if value < len(classes):
            names.append((str(classes[value]), _inner_point(region), palette[value]))
    return draw_names(drawn, names)


def show_cams(image: np.ndarray,
              cams: np.ndarray,
              names: Sequence[str],
              scores: Optional[Sequence[float]] = None,
              cell_size: tuple[int, int] = (240, 180),
              columns: int = 4,
              figure: bool = False) -> Union[np.ndarray, Figure]:
    """Draw an image and each of its class activation maps (CAMs) in a grid.

    Args:
        image (np.ndarray): (H, W, 3) uint8 RGB.
        cams (np.ndarray): (C, h, w) in [0, 1].
        names (Sequence[str]): C names of the maps.
        scores (Sequence[float], optional): C scores in [0, 1], written beside the names.
        cell_size (tuple[int, int]): (width, height) of a cell in pixels.
        columns (int): Cells in a row. Defaults to 4.
        figure (bool): Return a matplotlib figure, for instance for a notebook.

    Returns:
        np.ndarray or Figure: The grid, uint8 RGB, or the figure.

    Raises:
        ValueError: ``cams``, ``names`` and ``scores`` differ in length.
    """
    if len(names) != len(cams) or (scores is not None and len(scores) != len(cams)):
        raise ValueError(f'there are {len(cams)} CAMs, {len(names)} names and '
                         f'{"no" if scores is None else len(scores)} scores: give one name and one score per CAM')
    captions = [str(name) if scores is None else f'{name} {scores[k]:.2f}' for k, name in enumerate(names)]
    cells = [fit_cell(image, cell_size)]
    cells += [write_caption(fit_cell(heat_overlay(image, cam), cell_size), text) for cam, text in zip(cams, captions)]
    columns = min(columns, len(cells))
    cells += [np.full_like(cells[0], 255)] * (-len(cells) % columns)
    grid = compose_sheet([cells[k:k + columns] for k in range(0, len(cells), columns)], [''] * columns)
    return _as_figure(grid) if figure else grid


def _inner_point(region: np.ndarray) -> tuple[int, int]:
    """Return the point (x, y) of a binary region (H, W) that is farthest from its edge."""
    distance = cv2.distanceTransform(np.pad(region, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = np.unravel_index(int(distance.argmax()), distance.shape)
    return int(x), int(y)


def _as_figure(picture: np.ndarray, dpi: int = 100) -> Any:
    height, width = picture.shape[:2]
    figure = Figure(figsize=(width / dpi, height / dpi), dpi=dpi)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(picture)
    axes.set_axis_off()
    return figure
