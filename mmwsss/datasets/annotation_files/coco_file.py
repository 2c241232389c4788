"""COCO: one instances file for all images."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from mmwsss.utils import image_id_of, write_json

from ..coco import paint_instances, read_instances
from ..polygons import Part
from .base import ClassTable, ExportOptions, LabeledImage, bridged_regions, image_extent

__all__ = ['read_coco', 'write_coco']


def write_coco(images: Iterable[LabeledImage], classes: ClassTable, target: Path, options: ExportOptions) -> None:
    """Write an instances file; each connected part of a class is one annotation with one polygon.

    Category ids are the values of label maps.

    Args:
        images (Iterable[LabeledImage]): The label maps.
        classes (ClassTable): Their classes.
        target (Path): The JSON file.
        options (ExportOptions): See there.
    """
    entries: list[dict] = []
    annotations: list[dict] = []
    for number, image in enumerate(images, 1):
        height, width = image.labels.shape
        entries.append(dict(id=number, file_name=image.file_name, height=height, width=width))
        for region in bridged_regions(image, classes, options.tolerance):
            low, high = region.part.outer.min(axis=0), region.part.outer.max(axis=0)
            annotations.append(dict(
                id=len(annotations) + 1, image_id=number, category_id=region.value, iscrowd=0,
                segmentation=[region.polygon.ravel().tolist()], area=_area(region.part),
                bbox=[*low.tolist(), *(high - low).tolist()]))
    categories = [dict(id=value, name=name, color=list(color)) for value, name, color in classes.entries]
    write_json(dict(images=entries, annotations=annotations, categories=categories), target, indent=None)


def _area(part: Part) -> int:
    """Return the number of pixels of a part that is outlined along pixel edges."""
    def enclosed(ring: np.ndarray) -> int:
        following = np.roll(ring, -1, axis=0)
        return abs(int((ring[:, 0] * following[:, 1] - ring[:, 1] * following[:, 0]).sum())) // 2
    return enclosed(part.outer) - sum(map(enclosed, part.holes))


def read_coco(path: Path, classes: ClassTable) -> Iterator[tuple[str, np.ndarray]]:
    """Read the label maps of an instances file.

    Where objects overlap, the smaller one wins; crowd regions become 255.

    Args:
        path (Path): The JSON file.
        classes (ClassTable): The classes; categories are found by name.

    Yields:
        tuple[str, np.ndarray]: Image id and label map (H, W) uint8.

    Raises:
        ImportError: pycocotools is not installed.
        ValueError: It is no instances file, or has a category that is none of the classes.
    """
    data = read_instances(path)
    indices = {category['id']: classes.value_of(category['name'], path) for category in data['categories']}
    annotations = defaultdict(list)
    for annotation in data['annotations']:
        annotations[annotation['image_id']].append(annotation)
    for image in data['images']:
        origin = f'{path}, image {image["file_name"]}'
        height, width = image_extent(image.get('height'), image.get('width'), origin)
        yield image_id_of(image['file_name'], path), paint_instances(height, width, annotations[image['id']], indices)
