"""Index masks from COCO instance annotations."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ['CROWD_CHOICES', 'paint_instances']

CROWD_CHOICES = ('ignore', 'skip', 'label')


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
        indices (Mapping[int, int]): COCO's category id -> mask value.
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
        if is_crowd and crowd == 'skip':
            continue
        region = _decode(annotation['segmentation'], height, width)
        ignored = is_crowd and crowd == 'ignore'
        value = ignore_index if ignored else indices[annotation['category_id']]
        regions.append((not is_crowd, -int(region.sum()), region, value))
    mask = np.zeros((height, width), dtype=np.uint8)
    for _, _, region, value in sorted(regions, key=lambda item: item[:2]):
        mask[region] = value
    return mask


def _decode(segmentation: Any, height: int, width: int) -> np.ndarray:
    """Return the pixels (H, W) bool of a polygon list or of run lengths."""
    try:
        from pycocotools import mask as coco_mask
    except ImportError as error:
        raise ImportError('COCO annotations need pycocotools: pip install pycocotools') from error
    if isinstance(segmentation, list):
        polygons = [polygon for polygon in segmentation if len(polygon) >= 6]
        if not polygons:
            return np.zeros((height, width), dtype=bool)
        runs = coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
    elif isinstance(segmentation, Mapping) and 'counts' in segmentation:
        compressed = not isinstance(segmentation['counts'], list)
        runs = dict(segmentation) if compressed else coco_mask.frPyObjects(dict(segmentation), height, width)
        if list(runs['size']) != [height, width]:
            raise ValueError(f'run lengths of the size {runs["size"]} in an image of {[height, width]}')
    else:
        raise ValueError(f'segmentation must be polygons or run lengths, got {type(segmentation).__name__}')
    return coco_mask.decode(runs).astype(bool)
