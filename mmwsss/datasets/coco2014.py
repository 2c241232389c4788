"""COCO 2014 as a segmentation set of 80 classes and background."""

from typing import Any

from mmseg.datasets import BaseSegDataset

from mmwsss.registry import DATASETS

__all__ = ['COCO2014Dataset', 'COCO_CLASSES', 'index_palette']

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


def index_palette(num_colors: int = 256) -> list[list[int]]:
    """Return the colours that PASCAL VOC gives to indices: bits of the index, spread over red, green and blue.

    Args:
        num_colors (int): At most 256.

    Returns:
        list[list[int]]: RGB in 0..255 per index.

    Examples:
        >>> index_palette(4)
        [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    """
    palette = []
    for index in range(num_colors):
        color = [0, 0, 0]
        for bit in range(8):
            color[bit % 3] |= ((index >> bit) & 1) << (7 - bit // 3)
        palette.append(color)
    return palette


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
