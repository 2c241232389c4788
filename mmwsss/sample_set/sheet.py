"""Contact sheet: pictures of the sample set, their masks beside them."""

from pathlib import Path
from typing import Union

import cv2
import numpy as np
from PIL import Image

from .writer import SAMPLE_CLASSES, SAMPLE_PALETTE

__all__ = ['contact_sheet']

_MARGIN = 6
_CAPTION = 16


def _fit(image: np.ndarray, side: int, resample: int) -> np.ndarray:
    """Scale an image into a white square of ``side`` pixels, keeping its aspect."""
    scale = side / max(image.shape[:2])
    size = tuple(max(1, round(edge * scale)) for edge in image.shape[1::-1])
    tile = np.full((side, side, 3), 255, np.uint8)
    top, left = (side - size[1]) // 2, (side - size[0]) // 2
    tile[top:top + size[1], left:left + size[0]] = cv2.resize(image, size, interpolation=resample)
    return tile


def _overlay(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Gray the picture (H, W, 3) and draw the classes' colors and white outlines over it."""
    gray = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    colors = np.array(SAMPLE_PALETTE, np.float32)[mask]
    mixed = np.where(mask[..., None] > 0, 0.25 * gray + 0.75 * colors, 0.5 * gray + 30).astype(np.uint8)
    edge = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8)) > 0
    mixed[edge] = 255
    return mixed


def _tile(folder: Path, name: str, side: int) -> np.ndarray:
    image = np.array(Image.open(folder / 'JPEGImages' / f'{name}.jpg').convert('RGB'))
    mask = np.array(Image.open(folder / 'SegmentationClass' / f'{name}.png'))
    pair = np.hstack([_fit(image, side, cv2.INTER_AREA), np.full((side, 3, 3), 255, np.uint8),
                      _fit(_overlay(image, mask), side, cv2.INTER_AREA)])
    caption = np.full((_CAPTION, pair.shape[1], 3), 255, np.uint8)
    text = ', '.join(SAMPLE_CLASSES[value] for value in np.unique(mask) if value)
    cv2.putText(caption, text, (2, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (40, 40, 40), 1, cv2.LINE_AA)
    return np.vstack([pair, caption])


def contact_sheet(folder: Union[str, Path], columns: int = 4, rows: int = 6, side: int = 128,
                  split: str = 'val') -> np.ndarray:
    """Arrange the first images of a split, each with its mask beside it.

    Args:
        folder: A made sample set.
        columns: Pairs in a row.
        rows: Rows of pairs.
        side: Edge of one picture in pixels.
        split: ``train`` or ``val``.

    Returns:
        uint8 (H, W, 3), RGB.

    Raises:
        ValueError: The split has fewer images than the sheet has places.
    """
    folder = Path(folder)
    names = (folder / f'ImageSets/Segmentation/{split}.txt').read_text(encoding='utf-8').split()
    if len(names) < columns * rows:
        raise ValueError(f'{folder} has {len(names)} {split} images, the sheet has {columns} x {rows} places')
    pad = ((_MARGIN, _MARGIN), (_MARGIN, _MARGIN), (0, 0))
    tiles = [np.pad(_tile(folder, name, side), pad, constant_values=255) for name in names[:columns * rows]]
    return np.vstack([np.hstack(tiles[start:start + columns]) for start in range(0, len(tiles), columns)])
