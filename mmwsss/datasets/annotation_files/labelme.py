"""labelme: a folder with one JSON file for each image."""

import base64
import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from mmwsss.utils import path_inside, read_json, write_json, write_lines
from mmwsss.utils.errors import UserError
from mmwsss.utils.outputs import FILES

from .base import ClassTable, ExportOptions, LabeledImage, bridged_regions, image_extent, paint_regions, parsing

__all__ = ['read_labelme', 'write_labelme']

_VERSION = '5.0.0'  # of the file format: the first with this layout
_SETTINGS = 'labelme.yaml'


def write_labelme(images: Iterable[LabeledImage], classes: ClassTable, target: Path, options: ExportOptions) -> None:
    """Write ``<id>.json`` for each image, and ``labelme.yaml`` and ``labels.txt`` with the classes.

    The files refer to the photographs, if these are known, by paths relative to themselves.

    Args:
        images (Iterable[LabeledImage]): The label maps.
        classes (ClassTable): Their classes.
        target (Path): The folder; exists, is empty, and lies in the folder where it will stay.
        options (ExportOptions): See there.
    """
    for image in images:
        path = path_inside(target, image.image_id, '.json')
        height, width = image.labels.shape
        shapes = [dict(label=region.name, points=region.polygon.tolist(), group_id=None, description='',
                       shape_type='polygon', flags={}, mask=None)
                  for region in bridged_regions(image, classes, options.tolerance, centers=True)]
        photo = (os.path.relpath(image.photo.resolve(), path.parent.resolve()) if image.photo
                 else os.path.basename(image.file_name))
        write_json(dict(version=_VERSION, flags={}, shapes=shapes, imagePath=Path(photo).as_posix(), imageData=None,
                        imageHeight=height, imageWidth=width), path)
    colors = {name: list(color) for _, name, color in classes.entries}
    write_json(dict(labels=list(colors), validate_label='exact', shape_color='manual', label_colors=colors),
               target / _SETTINGS)  # JSON is YAML, too
    write_lines(colors, target / 'labels.txt')


def read_labelme(path: Path, classes: ClassTable) -> Iterator[tuple[str, np.ndarray]]:
    """Read the label maps of a folder of labelme files; later shapes lie on top.

    Args:
        path (Path): The folder, searched recursively.
        classes (ClassTable): The classes.

    Yields:
        tuple[str, np.ndarray]: Image id, the path of the file without suffix, and label map (H, W) uint8.

    Raises:
        UserError: A file has another layout, a class that is not known, or a shape without area.
    """
    for file in sorted(path.rglob('*.json')):
        if file.name == FILES:
            continue
        content = read_json(file, 'labelme file')
        with parsing(file, 'a labelme file'):
            height, width = image_extent(content['imageHeight'], content['imageWidth'], file)
            painted = ((classes.value_of(shape['label'], file), _shape_mask(shape, height, width, file))
                       for shape in content['shapes'])
            labels = paint_regions(painted, height, width)
        yield file.relative_to(path).with_suffix('').as_posix(), labels


def _shape_mask(shape: dict[str, Any], height: int, width: int, file: Path) -> np.ndarray:
    """Fill a shape as labelme does: outlines run through pixel centers."""
    points, kind = np.asarray(shape['points'], float).reshape(-1, 2), shape.get('shape_type') or 'polygon'
    canvas = Image.new('L', (width, height))
    draw = ImageDraw.Draw(canvas)
    if kind in ('polygon', 'oriented_rectangle') and len(points) > 2:
        draw.polygon([tuple(point) for point in points.tolist()], outline=1, fill=1)
    elif kind == 'rectangle' and len(points) == 2:
        draw.rectangle([*points.min(axis=0), *points.max(axis=0)], outline=1, fill=1)
    elif kind == 'circle' and len(points) == 2:
        radius = float(np.linalg.norm(points[1] - points[0]))
        draw.ellipse([*(points[0] - radius), *(points[0] + radius)], outline=1, fill=1)
    elif kind == 'mask' and len(points) == 2:
        left, top = points[0].astype(int).tolist()
        with Image.open(io.BytesIO(base64.b64decode(shape['mask']))) as stored:
            canvas.paste(Image.fromarray((np.array(stored) > 0).astype(np.uint8)), (left, top))
    else:
        raise UserError(f'{file}: a shape of the type {kind!r} with {len(points)} points has no area: delete it or '
                        'draw a polygon')
    return np.array(canvas, dtype=bool)
