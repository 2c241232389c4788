"""CVAT for images 1.1: one XML file for all images."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Optional

import numpy as np

from mmwsss.utils import image_id_of, read_text
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

__all__ = ['read_cvat', 'write_cvat']


def write_cvat(images: Iterable[LabeledImage], classes: ClassTable, target: Path, options: ExportOptions) -> None:
    """Write an XML file of the format "CVAT for images 1.1" with one polygon for each connected part of a class.

    Args:
        images (Iterable[LabeledImage]): The label maps.
        classes (ClassTable): Their classes.
        target (Path): The XML file.
        options (ExportOptions): See there.
    """
    root = ElementTree.Element('annotations')
    ElementTree.SubElement(root, 'version').text = '1.1'
    meta = ElementTree.SubElement(root, 'meta')
    labels = ElementTree.SubElement(ElementTree.SubElement(meta, 'task'), 'labels')
    for _, name, color in classes.entries:
        label = ElementTree.SubElement(labels, 'label')
        ElementTree.SubElement(label, 'name').text = name
        ElementTree.SubElement(label, 'color').text = hex_color(color)
        ElementTree.SubElement(label, 'attributes')
    for number, image in enumerate(images):
        height, width = image.labels.shape
        element = ElementTree.SubElement(root, 'image', id=str(number), name=image.file_name, width=str(width),
                                         height=str(height))
        for region in bridged_regions(image, classes, options.tolerance):
            points = ';'.join(f'{x:.2f},{y:.2f}' for x, y in region.polygon.tolist())
            ElementTree.SubElement(element, 'polygon', label=region.name, source='manual', occluded='0', points=points,
                                   z_order='0')
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(target, encoding='utf-8', xml_declaration=True)


def read_cvat(path: Path, classes: ClassTable) -> Iterator[tuple[str, np.ndarray]]:
    """Read the label maps of an XML file of the format "CVAT for images 1.1": polygons, masks and boxes.

    Regions of a higher layer (``z_order``) lie on top, and within a layer the later ones.

    Args:
        path (Path): The XML file.
        classes (ClassTable): The classes.

    Yields:
        tuple[str, np.ndarray]: Image id and label map (H, W) uint8.

    Raises:
        UserError: The file has another layout, a class that is not known, or a shape without area.
    """
    try:
        root = ElementTree.fromstring(read_text(path, 'CVAT file').encode())
    except ElementTree.ParseError as error:
        raise UserError(f'CVAT file {path} is not valid XML: {error}') from error
    images = root.findall('image')
    if root.tag != 'annotations' or not images:
        raise UserError(f'{path} has no images as "CVAT for images 1.1" has them: export the task in this format')
    for image in images:
        origin = f'{path}, image {image.get("name")}'
        with parsing(origin, 'an image of "CVAT for images 1.1"'):
            height, width = image_extent(image.get('height'), image.get('width'), origin)
            shapes = [(int(shape.get('z_order', 0)), classes.value_of(shape.get('label'), origin),
                       _shape_mask(shape, height, width, origin)) for shape in image if shape.tag != 'tag']
            image_id = image_id_of(image.attrib['name'], path)
        yield image_id, paint_regions([shape[1:] for shape in sorted(shapes, key=lambda item: item[0])], height, width)


def _shape_mask(shape: ElementTree.Element, height: int, width: int, origin: str) -> np.ndarray:
    """Return the mask of a shape."""
    outline: Optional[list] = None
    if shape.tag == 'polygon':
        outline = [point.split(',') for point in shape.attrib['points'].split(';')]
    elif shape.tag == 'box' and not float(shape.get('rotation', 0)):
        x0, y0, x1, y1 = (shape.attrib[key] for key in ('xtl', 'ytl', 'xbr', 'ybr'))
        outline = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    if outline is not None:
        return fill_polygons([np.array(outline, float)], height, width)
    if shape.tag != 'mask':
        raise UserError(f'{origin}: a shape of the type {shape.tag!r} is neither a polygon, a mask nor a box that is '
                        'not rotated: draw it as a polygon')
    left, top, across, down = (int(shape.attrib[key]) for key in ('left', 'top', 'width', 'height'))
    runs = np.array(shape.attrib['rle'].split(','), int)
    window = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(down, across)
    mask = np.zeros((height, width), bool)
    mask[top:top + down, left:left + across] = window
    return mask
