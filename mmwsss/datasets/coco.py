"""COCO 2014: its classes and datasets, its instances files, and masks made from them."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
from mmseg.datasets import BaseSegDataset

from mmwsss.registry import DATASETS
from mmwsss.utils import read_text

from .class_names import index_palette, is_background, read_class_names
from .map_files import read_label_map

__all__ = [
    'COCO2014Dataset', 'COCO2014SlotDataset', 'COCO_CATEGORY_IDS', 'COCO_CLASSES', 'COCO_SLOTS', 'CROWD_CHOICES',
    'CocoCategories', 'category_ids_to_classes', 'check_instances', 'classes_to_category_ids', 'paint_instances',
    'paint_instances_like_coco2voc', 'read_instances', 'read_mask_as_category_ids'
]

CROWD_CHOICES = ('ignore', 'skip', 'label')
_NUMBER, _TEXT, _ID = (int, ), (str, ), (int, str)
_ENTRIES = dict(
    images=dict(id=_ID, file_name=_TEXT),
    categories=dict(id=_NUMBER, name=_TEXT),
    annotations=dict(image_id=_ID, category_id=_NUMBER))
_TYPE_NAMES = {_NUMBER: 'a whole number', _TEXT: 'text', _ID: 'a whole number or text'}

COCO_CLASSES = (
    'person', 'bicycle', 'car', 'motorcycle', 'airplane', 'bus', 'train', 'truck', 'boat', 'traffic light',
    'fire hydrant', 'stop sign', 'parking meter', 'bench', 'bird', 'cat', 'dog', 'horse', 'sheep', 'cow', 'elephant',
    'bear', 'zebra', 'giraffe', 'backpack', 'umbrella', 'handbag', 'tie', 'suitcase', 'frisbee', 'skis', 'snowboard',
    'sports ball', 'kite', 'baseball bat', 'baseball glove', 'skateboard', 'surfboard', 'tennis racket', 'bottle',
    'wine glass', 'cup', 'fork', 'knife', 'spoon', 'bowl', 'banana', 'apple', 'sandwich', 'orange', 'broccoli',
    'carrot', 'hot dog', 'pizza', 'donut', 'cake', 'chair', 'couch', 'potted plant', 'bed', 'dining table', 'toilet',
    'tv', 'laptop', 'mouse', 'remote', 'keyboard', 'cell phone', 'microwave', 'oven', 'toaster', 'sink',
    'refrigerator', 'book', 'clock', 'vase', 'scissors', 'teddy bear', 'hair drier', 'toothbrush')
"""tuple[str, ...]: The 80 classes, ordered by COCO's category ids (1 to 90 with gaps)."""

_UNUSED = {12: 'street sign', 26: 'hat', 29: 'shoe', 30: 'eye glasses', 45: 'plate', 66: 'mirror', 68: 'window',
           69: 'desk', 71: 'door', 83: 'blender'}

COCO_CATEGORY_IDS = tuple(number for number in range(1, 91) if number not in _UNUSED)
"""tuple[int, ...]: COCO's category ids of the 80 classes, in their order."""

_NAMES = {**dict(zip(COCO_CATEGORY_IDS, COCO_CLASSES)), **{key: f'{name} (unused)' for key, name in _UNUSED.items()}}

COCO_SLOTS = tuple(_NAMES[number] for number in range(1, 91))
"""tuple[str, ...]: A name for each of the 90 category ids. Ten were reserved by COCO and never annotated."""


@DATASETS.register_module()
class COCO2014Dataset(BaseSegDataset):
    """COCO 2014 with index masks as ``tools/dataset_converters/coco2014.py`` writes them.

    Mask values: 0 background, 1..80 the classes in the order of their ids, 255 ignored.

    Args:
        **kwargs (Any): Arguments of mmseg's ``BaseSegDataset``.
    """

    METAINFO = dict(classes=('background', *COCO_CLASSES), palette=index_palette(81))

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{'img_suffix': '.jpg', 'seg_map_suffix': '.png', **kwargs})


@DATASETS.register_module()
class COCO2014SlotDataset(COCO2014Dataset):
    """COCO 2014 whose labels and mask values are COCO's 90 category ids instead of the 80 classes.

    Ten of the ids never occur. Image labels by class name can be used unchanged, and so can the float32[90] arrays that
    WeakTr publishes. Masks on disk are those of :class:`COCO2014Dataset` (0..80); they are renumbered when loaded.
    Pseudo labels made with this data set hold category ids, see :func:`category_ids_to_classes`.

    Args:
        **kwargs: Arguments of mmseg's ``BaseSegDataset``.
    """

    METAINFO = dict(classes=('background', *COCO_SLOTS), palette=index_palette(91))

    @classmethod
    def get_label_map(cls, new_classes: Optional[Sequence] = None) -> dict[int, int]:
        """Map mask values on disk, 0..80, to category ids."""
        return dict(enumerate((0, *COCO_CATEGORY_IDS)))


def classes_to_category_ids(mask: np.ndarray) -> np.ndarray:
    """Renumber a uint8 mask of 0..80 and 255 to category ids (0..90 and 255).

    Raises:
        ValueError: If the mask has other values.
    """
    return _renumbered(mask, range(81), (0, *COCO_CATEGORY_IDS))


def category_ids_to_classes(mask: np.ndarray) -> np.ndarray:
    """Renumber a uint8 mask of category ids (0..90 and 255) to 0..80 and 255.

    Raises:
        ValueError: If the mask has other values, or one of the ten ids that belong to no class.
    """
    return _renumbered(mask, (0, *COCO_CATEGORY_IDS), range(81))


def read_mask_as_category_ids(path: Union[str, os.PathLike]) -> np.ndarray:
    """Read a mask of the 80 classes (0..80 and 255) and renumber it to category ids (0..90 and 255).

    Args:
        path (str or PathLike): A mask of :class:`COCO2014Dataset`.

    Returns:
        ndarray: Uint8 (H, W).

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged or has other values; it is named.
    """
    try:
        return classes_to_category_ids(read_label_map(path))
    except ValueError as error:
        raise ValueError(f'mask {path}: {error}') from error


def _renumbered(mask: np.ndarray, old: Sequence[int], new: Sequence[int]) -> np.ndarray:
    table = np.full(256, -1)
    table[list(old)], table[255] = list(new), 255
    if mask.size and not 0 <= mask.min() <= mask.max() <= 255:
        raise ValueError(f'mask values {mask.min()} to {mask.max()} are not in 0 to 255')
    if (table[mask] < 0).any():
        raise ValueError(f'mask values {np.unique(mask[table[mask] < 0]).tolist()} stand for no class')
    return table[mask].astype(np.uint8)


@dataclass(frozen=True)
class CocoCategories:
    """The categories of an instances file, made contiguous.

    Attributes:
        names (tuple[str, ...]): Foreground classes, ordered by COCO's category id.
        indices (dict[int, int]): COCO's category id (1..90 with gaps) -> mask value (1..C), or 0 for a category
            called ``background``.
    """

    names: tuple[str, ...]
    indices: dict[int, int]

    @classmethod
    def from_instances(cls, data: dict) -> 'CocoCategories':
        """Read the ``categories`` of a parsed instances file.

        Args:
            data (dict): The parsed JSON.

        Returns:
            CocoCategories: Names and contiguous indices.

        Raises:
            ValueError: A name is blank or occurs twice, or there is no category.
        """
        categories = sorted(data['categories'], key=lambda category: category['id'])
        unnamed = [category['id'] for category in categories if not category['name'].strip()]
        if unnamed:
            raise ValueError(f'the category {unnamed[0]} has a blank name')
        classes = [category for category in categories if not is_background(category['name'])]
        indices = dict.fromkeys((category['id'] for category in categories), 0)
        indices.update((category['id'], k) for k, category in enumerate(classes, 1))
        return cls(read_class_names([category['name'] for category in classes]), indices)


def read_instances(path: Union[str, os.PathLike]) -> dict[str, Any]:
    """Parse an instances file and check its layout.

    Args:
        path (str or PathLike): For instance ``annotations/instances_train2014.json``.

    Returns:
        dict: The parsed JSON, with ``images``, ``annotations`` and ``categories``.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not valid JSON or has another layout, see :func:`check_instances`.
    """
    path = Path(path)
    try:
        data = json.loads(read_text(path, 'instances file'))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f'instances file {path} is not valid JSON: {error}') from error
    return check_instances(data, f'instances file {path}')


def check_instances(data: Any, origin: str) -> dict[str, Any]:
    """Return parsed instances unchanged, or refuse another layout.

    Args:
        data (Any): The parsed JSON.
        origin (str): Where it was read, for errors.

    Returns:
        dict: ``data``.

    Raises:
        ValueError: A list or a key of an entry is missing, an id occurs twice, or an annotation names an image or a
            category that does not exist.
    """
    lacking = [key for key in _ENTRIES if not isinstance(data, dict) or not isinstance(data.get(key), list)]
    if lacking:
        raise ValueError(f'{origin} lacks {", ".join(lacking)}, so it is not a COCO instances file (files of captions '
                         'and of image information contain no instances)')
    for key, types in _ENTRIES.items():
        for number, entry in enumerate(data[key]):
            _check_entry(entry, types, f'{origin}: entry {number} of {key}')
    known = {key: _unique_ids(data[key], f'{origin}: {key}') for key in ('images', 'categories')}
    for number, annotation in enumerate(data['annotations']):
        for field, key in (('image_id', 'images'), ('category_id', 'categories')):
            if annotation[field] not in known[key]:
                raise ValueError(f'{origin}: entry {number} of annotations has the {field} {annotation[field]}, which '
                                 f'none of the {len(known[key])} {key} has')
    return data


def _check_entry(entry: Any, types: Mapping[str, tuple], where: str) -> None:
    """Refuse an entry that lacks a key or has a value of another type."""
    for field, allowed in types.items():
        if not isinstance(entry, Mapping) or field not in entry:
            raise ValueError(f'{where} has no {field!r}')
        if not isinstance(entry[field], allowed) or isinstance(entry[field], bool):
            raise ValueError(f'{where} has the {field} {entry[field]!r}, expected {_TYPE_NAMES[allowed]}')


def _unique_ids(entries: Sequence[Mapping], where: str) -> set:
    """Return the ids of entries, and refuse one that occurs twice."""
    ids: set = set()
    for entry in entries:
        if entry['id'] in ids:
            raise ValueError(f'{where} has the id {entry["id"]} more than once')
        ids.add(entry['id'])
    return ids


def paint_instances(height: int, width: int, annotations: Sequence[Mapping[str, Any]], indices: Mapping[int, int],
                    crowd: str = 'ignore', ignore_index: int = 255) -> np.ndarray:
    """Paint the objects of an image into an index mask.

    Where objects overlap, the smaller one wins (a cup on a table, a tie on a person); of two equally large ones the
    later annotation. Regions marked ``iscrowd`` lie below all single objects.

    Args:
        height (int): Of the image, in pixels.
        width (int): Of the image, in pixels.
        annotations (Sequence[Mapping]): The image's entries of an instances file: ``segmentation`` (polygons, or run
            lengths, compressed or not), ``category_id`` and ``iscrowd``.
        indices (Mapping[int, int]): COCO's category id -> mask value. Objects of the value 0, background, are left
            out.
        crowd (str): What a crowd region becomes: ``ignore`` (``ignore_index``), ``skip`` (nothing) or ``label`` (its
            class, as if it were one object).
        ignore_index (int): Value of ignored pixels.

    Returns:
        ndarray: Uint8 (H, W), 0 where there is no object.

    Raises:
        ImportError: pycocotools is not installed.
        ValueError: ``crowd`` is none of its choices, or a segmentation is of no known form.
    """
    if crowd not in CROWD_CHOICES:
        raise ValueError(f'crowd must be one of {CROWD_CHOICES}, got {crowd!r}')
    regions = []
    for annotation in annotations:
        is_crowd = bool(annotation.get('iscrowd'))
        if (is_crowd and crowd == 'skip') or _value_of(annotation, indices) == 0:
            continue
        region = _decode(annotation.get('segmentation'), height, width)
        value = ignore_index if is_crowd and crowd == 'ignore' else _value_of(annotation, indices)
        regions.append((not is_crowd, -int(region.sum()), region, value))
    mask = np.zeros((height, width), dtype=np.uint8)
    for _, _, region, value in sorted(regions, key=lambda item: item[:2]):
        mask[region] = value
    return mask


def paint_instances_like_coco2voc(height: int, width: int, annotations: Sequence[Mapping[str, Any]],
                                  indices: Mapping[int, int]) -> np.ndarray:
    """Paint the objects of an image as coco2voc does, the tool that made the masks of ToCo's published numbers.

    Regions marked ``iscrowd`` are painted with their class, and no pixel is ignored. Where regions overlap, the one
    with the smaller ``area`` field wins, whatever it covers; of two equal ones the earlier annotation.

    Args:
        height (int): Of the image, in pixels.
        width (int): Of the image, in pixels.
        annotations (Sequence[Mapping]): The image's entries of an instances file: ``segmentation``, ``category_id`` and
            ``area``.
        indices (Mapping[int, int]): COCO's category id -> mask value. Objects of the value 0, background, are left
            out.

    Returns:
        ndarray: Uint8 (H, W), 0 where there is no object.

    Raises:
        ImportError: pycocotools is not installed.
        ValueError: An annotation has no ``area``, or a segmentation is of no known form.
    """
    for annotation in annotations:
        if not isinstance(annotation.get('area'), (int, float)):
            raise ValueError(f'an annotation of category {annotation["category_id"]} has the area '
                             f'{annotation.get("area")!r}, but the style coco2voc orders objects by this number')
    mask = np.zeros((height, width), dtype=np.uint8)
    for annotation in sorted(annotations, key=lambda entry: entry['area']):
        value = _value_of(annotation, indices)
        if value:
            mask[_decode(annotation.get('segmentation'), height, width) & (mask == 0)] = value
    return mask


def _value_of(annotation: Mapping[str, Any], indices: Mapping[int, int]) -> int:
    """Return the mask value of an annotation's category."""
    category = annotation['category_id']
    if category not in indices:
        raise ValueError(f'an annotation has the category id {category}, which is not one of {sorted(indices)}')
    return indices[category]


def _decode(segmentation: Any, height: int, width: int) -> np.ndarray:
    """Return the pixels (H, W) bool of a polygon list or of run lengths."""
    try:
        from pycocotools import mask as coco_mask
    except ImportError as error:
        raise ImportError('COCO annotations need pycocotools: pip install pycocotools') from error
    if isinstance(segmentation, list):
        polygons = [polygon for polygon in segmentation if _is_polygon(polygon)]
        if not polygons:
            return np.zeros((height, width), dtype=bool)
        runs = coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
    elif isinstance(segmentation, Mapping) and {'counts', 'size'} <= segmentation.keys():
        if list(segmentation['size']) != [height, width]:
            raise ValueError(f'run lengths of the size {segmentation["size"]} in an image of {[height, width]}')
        compressed = not isinstance(segmentation['counts'], list)
        if not compressed and sum(segmentation['counts']) != height * width:
            raise ValueError(f'run lengths add up to {sum(segmentation["counts"])} pixels in an image of '
                             f'{height} x {width}')
        runs = dict(segmentation) if compressed else coco_mask.frPyObjects(dict(segmentation), height, width)
    else:
        raise ValueError(f'segmentation must be polygons or run lengths, got {type(segmentation).__name__}')
    return coco_mask.decode(runs).astype(bool)


def _is_polygon(polygon: Any) -> bool:
    """Return whether a list has the three points or more that an area needs; refuse what is not a list of points."""
    if not isinstance(polygon, list) or len(polygon) % 2 or not np.isfinite(np.asarray(polygon, dtype=float)).all():
        raise ValueError(f'a polygon must be a list of coordinates x, y, x, y, ..., got {polygon!r:.80}')
    return len(polygon) >= 6
