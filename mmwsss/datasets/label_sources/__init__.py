"""Readers that make :class:`~mmwsss.datasets.ImageLabels` from annotations, folders and tables of tags."""

from .annotations import labels_from_coco, labels_from_npy, labels_from_voc_xml
from .folders import labels_from_folders, labels_from_mask_files, labels_from_masks, mask_values
from .tables import labels_from_table

__all__ = [
    'labels_from_coco', 'labels_from_folders', 'labels_from_mask_files', 'labels_from_masks', 'labels_from_npy',
    'labels_from_table', 'labels_from_voc_xml', 'mask_values'
]
