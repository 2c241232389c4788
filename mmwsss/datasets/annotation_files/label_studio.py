"""Label Studio: a folder with ``tasks.json`` and the labeling interface ``label_config.xml``."""

import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Optional

import numpy as np

from mmwsss.utils import atomic_path, image_id_of, read_json, write_json
from mmwsss.utils.errors import UserError

from ..polygons import fill_polygons
from .base import (
                   ClassTable,
                   ExportOptions,
                   LabeledImage,
                   bridged_regions,
                   hex_color,
                   image_extent,
                   paint_regions,
                   parsing,
)

__all__ = ['decode_brush', 'read_label_studio', 'write_label_studio']


def write_label_studio(images: Iterable[LabeledImage], classes: ClassTable, target: Path,
                       options: ExportOptions) -> None:
    """Write ``tasks.json``, one task with one annotation of polygons for each image, and ``label_config.xml``.

    Args:
        images (Iterable[LabeledImage]): The label maps.
        classes (ClassTable): Their classes.
        target (Path): The folder; exists and is empty.
        options (ExportOptions): ``url_prefix`` and the file name are the address of a photograph.
    """
    tasks = []
    for number, image in enumerate(images, 1):
        height, width = image.labels.shape
        results: list[dict] = []
        for region in bridged_regions(image, classes, options.tolerance):
            points = region.polygon * (100 / width, 100 / height)
            results.append(dict(
                id=f'{number}-{len(results) + 1}', type='polygonlabels', from_name='label', to_name='image',
                original_width=width, original_height=height, image_rotation=0,
                value=dict(points=points.tolist(), closed=True, polygonlabels=[region.name])))
        tasks.append(dict(id=number, data=dict(image=options.url_prefix + image.file_name, image_id=image.image_id,
                                               height=height, width=width),
                          annotations=[dict(id=number, result=results)]))
    write_json(tasks, target / 'tasks.json', indent=None)
    view = ElementTree.Element('View')
    ElementTree.SubElement(view, 'Image', name='image', value='$image', zoom='true')
    labels = ElementTree.SubElement(view, 'PolygonLabels', name='label', toName='image')
    for _, name, color in classes.entries:
        ElementTree.SubElement(labels, 'Label', value=name, background=hex_color(color))
    ElementTree.indent(view)
    with atomic_path(target / 'label_config.xml') as tmp:
        ElementTree.ElementTree(view).write(tmp, encoding='utf-8')


def read_label_studio(path: Path, classes: ClassTable) -> Iterator[tuple[str, np.ndarray]]:
    """Read the label maps of tasks that Label Studio exported as JSON: polygons, brush strokes and rectangles.

    Of several annotations of a task, the last that was not canceled counts; tasks without one are left out. Later
    regions lie on top.

    Args:
        path (Path): The JSON file, or a folder with ``tasks.json``.
        classes (ClassTable): The classes.

    Yields:
        tuple[str, np.ndarray]: Image id and label map (H, W) uint8.

    Raises:
        UserError: The file has another layout, a class that is not known, or a task of unknown size.
    """
    file = path / 'tasks.json' if path.is_dir() else path
    tasks = read_json(file, 'Label Studio file')
    for number, task in enumerate(tasks if isinstance(tasks, list) else [tasks], 1):
        with parsing(f'{file}, task {number}', 'a task of Label Studio with annotations (export as JSON)'):
            annotations = [item for item in task['annotations'] if not item.get('was_cancelled')]
            data = task['data']
            image_id = data.get('image_id') or image_id_of(os.path.basename(data['image']), file)
            labels = _paint(annotations[-1]['result'], data, classes, f'{file}, task {number}') if annotations else None
        if labels is not None:
            yield image_id, labels


def _paint(results: list[dict], data: dict, classes: ClassTable, origin: str) -> np.ndarray:
    """Return the label map of an annotation."""
    shapes = [result for result in results if isinstance(result.get('value'), dict) and 'original_width' in result]
    size = ((shapes[0]['original_height'], shapes[0]['original_width']) if shapes
            else (data.get('height'), data.get('width')))
    height, width = image_extent(*size, origin)
    found = []
    for shape in shapes:
        name = next((names[0] for key, names in shape['value'].items() if key.endswith('labels') and names), None)
        mask = _shape_mask(shape['value'], height, width)
        if name is not None and mask is not None:
            found.append((classes.value_of(name, origin), mask))
        elif mask is None:
            raise UserError(f'{origin}: a region of the type {shape.get("type")!r} is neither a polygon, a brush '
                            'stroke nor a rectangle that is not rotated: draw it as a polygon')
    return paint_regions(found, height, width)


def _shape_mask(value: dict[str, Any], height: int, width: int) -> Optional[np.ndarray]:
    """Return the mask of a region, or None for other types."""
    scale = np.array([width, height]) / 100
    if 'points' in value:
        return fill_polygons([np.asarray(value['points'], float) * scale], height, width)
    if 'rle' in value:
        return decode_brush(value['rle']).reshape(height, width, 4)[..., 3] > 0
    if {'x', 'y', 'width', 'height'} <= value.keys() and not value.get('rotation'):
        x0, y0, x1, y1 = (value['x'], value['y'], value['x'] + value['width'], value['y'] + value['height'])
        return fill_polygons([np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]) * scale], height, width)
    return None


def decode_brush(code: Iterable[int]) -> np.ndarray:
    """Decode the run lengths of a brush stroke, which are packed bit by bit.

    A head of 32 bits says how many values there are, 5 bits how many bits a value has (less 1), and 4 times 4 bits
    how many bits the four kinds of lengths have (less 1). Runs follow: one bit (1: one value is repeated, 0: each value
    is given), two bits for the kind of length, the length (less 1), and the value or values.

    Args:
        code (Iterable[int]): Bytes in 0..255.

    Returns:
        np.ndarray: (N,) uint8, of an image with four channels, row by row.

    Raises:
        ValueError: The code ends too early.
    """
    packed = np.array(list(code), dtype=np.uint8).tobytes()
    bits = bin(int.from_bytes(b'\x01' + packed, 'big'))[3:]
    place = 0

    def read(count: int) -> int:
        nonlocal place
        place += count
        return int(bits[place - count:place], 2)

    total, word = read(32), read(5) + 1
    lengths = [read(4) + 1 for _ in range(4)]
    runs: list[np.ndarray] = []
    done = 0
    while done < total:
        repeated = read(1)
        length = read(lengths[read(2)]) + 1
        runs.append(np.full(length, read(word), np.uint8) if repeated
                    else np.array([read(word) for _ in range(length)], np.uint8))
        done += length
    return np.concatenate(runs)[:total] if runs else np.zeros(0, np.uint8)
