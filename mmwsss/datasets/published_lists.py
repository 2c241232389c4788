"""How many images the lists of VOC and COCO have that published methods train on and are evaluated on."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Optional

from mmseg.datasets import PascalVOCDataset

from mmwsss.registry import DATASETS

from .coco import COCO2014Dataset

__all__ = ['PUBLISHED_LIST_SIZES', 'published_list_size']

PUBLISHED_LIST_SIZES = {
    PascalVOCDataset: dict(trainaug=10582, train=1464, val=1449),
    # train and val are the images with an object; the lists "all" have the others, too.
    COCO2014Dataset: dict(train=82081, train_all=82783, val=40137, val_all=40504, val_part=5000),
}
"""dict[type, dict[str, int]]: Number of images by class of dataset and by name of the list, without suffix."""


def published_list_size(dataset: Mapping[str, Any]) -> Optional[int]:
    """Return the number of images in the list that the config of a dataset names.

    Args:
        dataset (Mapping): The config of a dataset, with ``type`` and ``ann_file``.

    Returns:
        int, optional: None if the dataset is neither VOC nor COCO, or the list is not a published one.
    """
    kind = DATASETS.get(dataset['type']) if isinstance(dataset['type'], str) else dataset['type']
    sizes = next((sizes for known, sizes in PUBLISHED_LIST_SIZES.items()
                  if isinstance(kind, type) and issubclass(kind, known)), {})
    return sizes.get(PurePath(dataset.get('ann_file') or '').stem)
