"""Readers that make :class:`~mmwsss.datasets.ImageLabels` from what people have."""

from .cls_labels import labels_from_npy
from .coco import CocoCategories, labels_from_coco, read_instances
from .folders import labels_from_folders
from .masks import labels_from_mask_files, labels_from_masks, mask_values
from .tables import labels_from_table
from .voc_xml import labels_from_voc_xml

__all__ = [
    'CocoCategories', 'labels_from_coco', 'labels_from_folders', 'labels_from_mask_files', 'labels_from_masks',
    'labels_from_npy', 'labels_from_table', 'labels_from_voc_xml', 'mask_values', 'read_instances'
]
