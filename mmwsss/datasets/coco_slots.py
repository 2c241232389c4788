"""COCO 2014 numbered by category id: the 90 slots of WeakTr's and other authors' label files."""

from collections.abc import Sequence
from typing import Optional

import numpy as np

from mmwsss.registry import DATASETS

from .coco2014 import COCO_CLASSES, COCO2014Dataset, index_palette

__all__ = ['COCO2014SlotDataset', 'COCO_CATEGORY_IDS', 'COCO_SLOTS', 'classes_to_slots', 'slots_to_classes']

_UNUSED = {12: 'street sign', 26: 'hat', 29: 'shoe', 30: 'eye glasses', 45: 'plate', 66: 'mirror', 68: 'window',
           69: 'desk', 71: 'door', 83: 'blender'}

COCO_CATEGORY_IDS = tuple(number for number in range(1, 91) if number not in _UNUSED)
"""tuple[int, ...]: COCO's category ids of the 80 classes, in their order."""

_NAMES = {**dict(zip(COCO_CATEGORY_IDS, COCO_CLASSES)), **{key: f'{name} (unused)' for key, name in _UNUSED.items()}}

COCO_SLOTS = tuple(_NAMES[number] for number in range(1, 91))
"""tuple[str, ...]: A name for each of the 90 category ids. Ten were reserved by COCO and never annotated."""


@DATASETS.register_module()
class COCO2014SlotDataset(COCO2014Dataset):
    """COCO 2014 with 90 slots in place of the 80 classes: label and mask value are COCO's category id.

    Ten slots never occur. Image labels by class name fit as they are, and so do the authors' float32[90] arrays. Masks
    on disk are those of :class:`COCO2014Dataset` (0..80); they are renumbered when loaded. Pseudo labels made with
    this data set hold category ids, see :func:`slots_to_classes`.

    Args:
        **kwargs: Arguments of mmseg's ``BaseSegDataset``.
    """

    METAINFO = dict(classes=('background', *COCO_SLOTS), palette=index_palette(91))

    @classmethod
    def get_label_map(cls, new_classes: Optional[Sequence] = None) -> dict[int, int]:
        """Map mask values on disk, 0..80, to category ids."""
        return dict(enumerate((0, *COCO_CATEGORY_IDS)))


def classes_to_slots(mask: np.ndarray) -> np.ndarray:
    """Renumber a uint8 mask of 0..80 and 255 to category ids (0..90 and 255).

    Raises:
        ValueError: If the mask has other values.
    """
    return _renumbered(mask, range(81), (0, *COCO_CATEGORY_IDS))


def slots_to_classes(mask: np.ndarray) -> np.ndarray:
    """Renumber a uint8 mask of category ids (0..90 and 255) to 0..80 and 255.

    Raises:
        ValueError: If the mask has other values, or one of the ten ids that belong to no class.
    """
    return _renumbered(mask, (0, *COCO_CATEGORY_IDS), range(81))


def _renumbered(mask: np.ndarray, old: Sequence[int], new: Sequence[int]) -> np.ndarray:
    table = np.full(256, -1)
    table[list(old)], table[255] = list(new), 255
    if (table[mask] < 0).any():
        raise ValueError(f'mask values {np.unique(mask[table[mask] < 0]).tolist()} stand for no class')
    return table[mask].astype(np.uint8)
