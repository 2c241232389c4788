"""A sheet of pseudo labels beside the masks."""

from pathlib import Path
from typing import Optional

import numpy as np
from mmengine.config import Config
from PIL import Image

from mmwsss.analysis import color_labels, compose_sheet, fit_cell
from mmwsss.datasets import read_ids
from mmwsss.utils import atomic_path

from .place import photos_of

__all__ = ['draw_labels']

CELL = (240, 180)


def draw_labels(cfg: Config, labels: Path, masks: Path, split: Path, path: Path, num_images: int = 8) -> Optional[Path]:
    """Draw images, pseudo labels and masks, spread evenly over a list.

    Args:
        cfg: Names the folder of photographs.
        labels: Folder of palette PNGs, whose colors are used.
        masks: Folder of masks, likewise PNGs of class numbers.
        split: List of image ids.
        path: Where the sheet goes.
        num_images: Rows of the sheet.

    Returns:
        Path, optional: ``path``; None where no image of the list has all three.
    """
    ids = read_ids(split)
    chosen = np.linspace(0, len(ids) - 1, min(num_images, len(ids))).round().astype(int)
    rows = [_row(photos_of(cfg), labels / f'{ids[i]}.png', masks / f'{ids[i]}.png') for i in chosen]
    rows = [row for row in rows if row]
    if not rows:
        return None
    with atomic_path(path) as tmp:
        Image.fromarray(compose_sheet(rows, ['image', 'pseudo label', 'truth'])).save(tmp)
    return path


def _row(photos: Path, label: Path, mask: Path) -> list[np.ndarray]:
    photo = next(iter(sorted(photos.glob(f'{label.stem}.*'))), None)
    if photo is None or not label.is_file() or not mask.is_file():
        return []
    palette = np.array(Image.open(label).getpalette() or np.arange(256).repeat(3)).reshape(-1, 3)[:255]
    maps = [color_labels(np.array(Image.open(path)), palette) for path in (label, mask)]
    image = fit_cell(np.array(Image.open(photo).convert('RGB')), CELL)
    return [image, *(fit_cell(values, CELL, smooth=False) for values in maps)]
