"""Sheets of small pictures: functions of arrays."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

__all__ = ['color_labels', 'compose_sheet', 'draw_names', 'fit_cell', 'heat_overlay', 'write_caption']

PAPER = (255, 255, 255)
INK = (30, 30, 30)
EMPTY = (240, 240, 240)
IGNORED = (224, 224, 224)
GAP = 4
MARGIN = 12


def heat_overlay(image: np.ndarray, heat: np.ndarray, alpha: float = 0.5) -> np.ndarray:
    """Blend a score map in the jet colors over the gray image, so that all color comes from the map.

    Args:
        image (np.ndarray): (H, W, 3) uint8 RGB.
        heat (np.ndarray): (h, w) in [0, 1]; resized to the image where it differs.
        alpha (float): Weight of the colors. Defaults to 0.5.

    Returns:
        np.ndarray: (H, W, 3) uint8 RGB.
    """
    levels = np.clip(np.nan_to_num(heat) * 255, 0, 255).astype(np.uint8)
    if levels.shape != image.shape[:2]:
        levels = cv2.resize(levels, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    colors = cv2.applyColorMap(levels, cv2.COLORMAP_JET)[..., ::-1]
    gray = cv2.cvtColor(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(np.ascontiguousarray(colors), alpha, gray, 1 - alpha, 0)


def color_labels(labels: np.ndarray, palette: Sequence[Sequence[int]]) -> np.ndarray:
    """Color a label map.

    Args:
        labels (np.ndarray): (H, W) integers.
        palette (Sequence): RGB in 0..255 of the values 0, 1, ...; every other value is light gray.

    Returns:
        np.ndarray: (H, W, 3) uint8 RGB.
    """
    table = np.array([*palette, IGNORED], np.uint8)
    known = (labels >= 0) & (labels < len(palette))
    return table[np.where(known, labels, len(palette))]


def fit_cell(picture: np.ndarray, size: Sequence[int], smooth: bool = True) -> np.ndarray:
    """Scale a picture into a cell, keeping its aspect ratio, centered on light gray.

    Args:
        picture (np.ndarray): (H, W, 3) uint8 RGB.
        size (tuple[int, int]): (width, height) of the cell in pixels.
        smooth (bool): Interpolate; False for label maps.

    Returns:
        np.ndarray: (height, width, 3) uint8.
    """
    height, width = picture.shape[:2]
    scale = min(size[0] / width, size[1] / height)
    inner = max(round(width * scale), 1), max(round(height * scale), 1)
    shrinking = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    picture = cv2.resize(np.ascontiguousarray(picture), inner,
                         interpolation=shrinking if smooth else cv2.INTER_NEAREST)
    cell = np.full((size[1], size[0], 3), EMPTY, np.uint8)
    left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    cell[top:top + inner[1], left:left + inner[0]] = picture
    return cell


def write_caption(cell: np.ndarray, text: str, size: int = 13) -> np.ndarray:
    """Write a caption at the bottom of a cell, in white on a dark strip, shortened to fit.

    Args:
        cell (np.ndarray): (H, W, 3) uint8 RGB.
        text (str): The caption; nothing is drawn for an empty one.
        size (int): Of the letters, in pixels.

    Returns:
        np.ndarray: A copy with the caption.
    """
    if not text:
        return cell
    cell = cell.copy()
    height = size + 7
    cell[-height:] = (cell[-height:] * 0.35).astype(np.uint8)
    picture = Image.fromarray(cell)
    font = _font(size)
    ImageDraw.Draw(picture).text((6, cell.shape[0] - height // 2), _shortened(text, font, cell.shape[1] - 12),
                                 (255, 255, 255), font, anchor='lm')
    return np.array(picture)


def draw_names(picture: np.ndarray, names: Sequence[tuple[str, tuple[int, int], Sequence[int]]]) -> np.ndarray:
    """Write names on a picture, in white on a dark box with a bar of color.

    Args:
        picture (np.ndarray): (H, W, 3) uint8 RGB.
        names (Sequence[tuple]): Text, point (x, y) where it is centered, and RGB color. Boxes stay inside the picture.

    Returns:
        np.ndarray: A copy with the names.
    """
    height, width = picture.shape[:2]
    size = int(np.clip(min(height, width) / 22, 10, 40))
    font = _font(size)
    drawn = Image.fromarray(picture)
    draw = ImageDraw.Draw(drawn, 'RGBA')
    for text, (x, y), color in names:
        text = _shortened(text, font, width - size)
        half = font.getlength(text) / 2 + size / 2
        x = np.clip(x, half, max(width - half, half))
        y = np.clip(y, size, max(height - size, size))
        draw.rectangle((x - half, y - size * .7, x + half, y + size * .7), (0, 0, 0, 150))
        draw.rectangle((x - half, y - size * .7, x - half + size / 4, y + size * .7), tuple(int(c) for c in color))
        draw.text((x + size / 8, y), text, (255, 255, 255), font, anchor='mm')
    return np.array(drawn)


def compose_sheet(rows: Sequence[Sequence[np.ndarray]], titles: Sequence[str],
                  legend: Sequence[tuple[str, Sequence[int]]] = (), heading: str = '') -> np.ndarray:
    """Arrange cells in a grid, with titles above the columns and a legend of colors below.

    Args:
        rows (Sequence[Sequence[np.ndarray]]): Cells of one size, (H, W, 3) uint8 RGB.
        titles (Sequence[str]): One per column.
        legend (Sequence[tuple[str, Sequence[int]]]): Names and RGB colors.
        heading (str): Above everything.

    Returns:
        np.ndarray: The sheet, uint8 RGB.

    Raises:
        ValueError: There is no row, or rows and titles differ in number of columns or cells in size.
    """
    shapes = {cell.shape for row in rows for cell in row}
    if len(shapes) != 1 or {len(row) for row in rows} != {len(titles)}:
        raise ValueError(f'rows must hold {len(titles)} cells of one size each, got rows of '
                         f'{sorted({len(row) for row in rows})} cells of sizes {sorted(shapes)}')
    height, width, _ = shapes.pop()
    columns = len(titles)
    total_width = 2 * MARGIN + columns * width + (columns - 1) * GAP
    key = _place_legend(legend, total_width - 2 * MARGIN)
    head = (28 if heading else 0) + 26
    total_height = 2 * MARGIN + head + len(rows) * (height + GAP) + (key[-1][1] + 24 if key else 0)
    sheet = Image.new('RGB', (total_width, total_height), PAPER)
    draw = ImageDraw.Draw(sheet)
    if heading:
        draw.text((MARGIN, MARGIN + 8), heading, INK, _font(17, bold=True), anchor='lm')
    for column, title in enumerate(titles):
        left = MARGIN + column * (width + GAP)
        draw.text((left + width / 2, MARGIN + head - 12), title, INK, _font(16), anchor='mm')
        for index, row in enumerate(rows):
            sheet.paste(Image.fromarray(row[column]), (left, MARGIN + head + index * (height + GAP)))
    _draw_legend(draw, key, legend, MARGIN + head + len(rows) * (height + GAP) + 6)
    return np.array(sheet)


def _place_legend(legend: Sequence[tuple], width: int) -> list[tuple[int, int]]:
    """Return the positions (x, y) of the entries, wrapped at ``width``."""
    places, x, y = [], 0, 0
    for name, _ in legend:
        advance = 38 + int(_font(14).getlength(name))
        if x and x + advance > width:
            x, y = 0, y + 24
        places.append((x, y))
        x += advance
    return places


def _draw_legend(draw: ImageDraw.ImageDraw, places: Sequence[tuple], legend: Sequence[tuple], top: int) -> None:
    for (x, y), (name, color) in zip(places, legend):
        left, upper = MARGIN + x, top + y
        draw.rectangle((left, upper, left + 16, upper + 14), tuple(int(c) for c in color), (120, 120, 120))
        draw.text((left + 22, upper + 7), name, INK, _font(14), anchor='lm')


@lru_cache(maxsize=8)
def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Load DejaVu Sans, which matplotlib ships."""
    name = 'DejaVuSans-Bold.ttf' if bold else 'DejaVuSans.ttf'
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), 'fonts', 'ttf', name)), size)


def _shortened(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + '…') > width:
        text = text[:-1]
    return text + '…'
