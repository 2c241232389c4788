"""A sheet of images with their pseudo labels and masks side by side."""

from collections.abc import Callable
from pathlib import Path
from typing import Optional

import numpy as np
from PIL import Image

from mmwsss.datasets import read_ids
from mmwsss.datasets.map_files import read_label_map
from mmwsss.utils import atomic_path, read_photo

from .sheet import color_labels, compose_sheet, fit_cell

__all__ = ['draw_label_sheet']

CELL_SIZE = (240, 180)


def draw_label_sheet(image_dir: Path, label_dir: Path, mask_dir: Path, split: Path, path: Path,
                     num_images: int = 8,
                     read_mask: Callable[[Path], np.ndarray] = read_label_map) -> Optional[Path]:
    """Draw images, pseudo labels and masks, spread evenly over a list of images.

    Args:
        image_dir (Path): Folder of images, ``<id>.<suffix>``.
        label_dir (Path): Folder of label maps, ``<id>.png``; their palettes color labels and masks.
        mask_dir (Path): Folder of masks, ``<id>.png``.
        split (Path): List of image ids.
        path (Path): The image file to write.
        num_images (int): Number of rows. Defaults to 8.
        read_mask (Callable): Reads a mask; may renumber its classes as the labels have them.

    Returns:
        Path, optional: ``path``, or None if no image of the list has all three files.
    """
    ids = read_ids(split)
    chosen = np.linspace(0, len(ids) - 1, min(num_images, len(ids))).round().astype(int)
    rows = [_draw_row(image_dir, label_dir / f'{ids[i]}.png', mask_dir / f'{ids[i]}.png', read_mask) for i in chosen]
    rows = [row for row in rows if row]
    if not rows:
        return None
    with atomic_path(path) as tmp:
        Image.fromarray(compose_sheet(rows, ['image', 'pseudo label', 'ground truth'])).save(tmp)
    return path


def _draw_row(image_dir: Path, label: Path, mask: Path, read_mask: Callable) -> list[np.ndarray]:
    image = next(iter(sorted(image_dir.glob(f'{label.stem}.*'))), None)
    if image is None or not label.is_file() or not mask.is_file():
        return []
    palette = np.array(Image.open(label).getpalette() or np.arange(256).repeat(3)).reshape(-1, 3)[:255]
    maps = [color_labels(values, palette) for values in (read_label_map(label), read_mask(mask))]
    cell = fit_cell(read_photo(image), CELL_SIZE)
    return [cell, *(fit_cell(values, CELL_SIZE, smooth=False) for values in maps)]
