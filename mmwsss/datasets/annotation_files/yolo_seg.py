"""YOLO segmentation: a folder with one text file for each image, and ``data.yaml``."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from mmwsss.utils import path_inside, write_lines

from .base import ClassTable, ExportOptions, LabeledImage, bridged_regions

__all__ = ['write_yolo_seg']

_OFFSET = 0.25
"""float: Programs round or cut coordinates to whole pixels: with this offset both give the same pixel."""


def write_yolo_seg(images: Iterable[LabeledImage], classes: ClassTable, target: Path, options: ExportOptions) -> None:
    """Write ``labels/<id>.txt``, ``images/`` with the photographs that are known, and ``data.yaml``.

    Args:
        images (Iterable[LabeledImage]): The label maps.
        classes (ClassTable): Their classes.
        target (Path): The folder; exists and is empty.
        options (ExportOptions): See there.
    """
    numbers = {value: number for number, (value, _, _) in enumerate(classes.entries)}
    for image in images:
        height, width = image.labels.shape
        lines = []
        for region in bridged_regions(image, classes, options.tolerance, centers=True):
            points = (region.polygon + _OFFSET) / (width, height)
            lines.append(' '.join([str(numbers[region.value]), *(f'{value:.7f}' for value in points.ravel())]))
        write_lines(lines, path_inside(target / 'labels', image.image_id, '.txt'))
        if image.photo:
            copy = path_inside(target / 'images', image.image_id, image.photo.suffix)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(image.photo, copy)
    names = {str(numbers[value]): name for value, name, _ in classes.entries}
    colors = {str(numbers[value]): list(color) for value, _, color in classes.entries}
    settings = dict(train='images', val='images', nc=len(names))
    lines = [f'{key}: {json.dumps(value)}' for key, value in settings.items()]
    for key, table in (('names', names), ('colors', colors)):
        lines.append(f'{key}:')
        lines += [f'  {number}: {json.dumps(value, ensure_ascii=False)}' for number, value in table.items()]
    write_lines(lines, target / 'data.yaml')
