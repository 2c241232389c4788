"""NumPy: one ``.npz`` file with all label maps."""

import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from .base import ClassTable, ExportOptions, LabeledImage

__all__ = ['write_npz']


def write_npz(images: Iterable[LabeledImage], classes: ClassTable, target: Path, options: ExportOptions) -> None:
    """Write the label maps under ``masks/<id>``, with ``values``, ``names`` and ``colors`` of the classes.

    One label map at a time is in memory.

    Args:
        images (Iterable[LabeledImage]): The label maps.
        classes (ClassTable): Their classes.
        target (Path): The ``.npz`` file.
        options (ExportOptions): Not used.
    """
    values, names, colors = zip(*classes.entries)
    with zipfile.ZipFile(target, 'w', zipfile.ZIP_DEFLATED) as archive:
        def add(name: str, array: np.ndarray) -> None:
            with archive.open(f'{name}.npy', 'w', force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
        add('values', np.array(values))
        add('names', np.array(names))
        add('colors', np.array(colors, np.uint8))
        for image in images:
            kept = image.labels if classes.keep_ignored else np.where(image.labels == 255, 0, image.labels)
            add(f'masks/{image.image_id}', kept.astype(np.uint8))
