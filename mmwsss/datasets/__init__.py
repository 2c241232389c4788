"""Datasets, image-level labels and samplers."""

from mmwsss.checkpoints import load_pickled_npy
from mmwsss.utils import image_id_of

from . import transforms
from .class_names import foreground_classes, index_palette, read_class_names, read_ids
from .coco import COCO2014Dataset, COCO2014SlotDataset, category_ids_to_classes, classes_to_category_ids
from .image_label_dataset import ImageLabelDataset
from .image_labels import ImageLabels, ImageLabelSummary
from .inference_data import config_hash, data_paths, inference_pipeline, keep_images, labelled_images
from .label_sources import (
                            labels_from_coco,
                            labels_from_folders,
                            labels_from_masks,
                            labels_from_npy,
                            labels_from_table,
                            labels_from_voc_xml,
)
from .photo_dataset import PhotoDataset
from .pseudo_label_dataset import PseudoLabelDataset
from .sampling import EpochSampler, IterationSampler, SampleIndex, derive_seed, iterations_per_epoch, seeded_sample
from .wrapper import SegDatasetWrapper

__all__ = [
    'COCO2014SlotDataset', 'classes_to_category_ids', 'category_ids_to_classes', 'COCO2014Dataset', 'EpochSampler',
    'ImageLabelDataset', 'ImageLabelSummary', 'ImageLabels', 'IterationSampler', 'PhotoDataset',
    'PseudoLabelDataset', 'SampleIndex', 'SegDatasetWrapper', 'config_hash', 'data_paths', 'derive_seed',
    'foreground_classes', 'inference_pipeline', 'keep_images', 'labelled_images', 'image_id_of', 'index_palette',
    'iterations_per_epoch', 'labels_from_coco', 'labels_from_folders', 'labels_from_masks', 'labels_from_npy',
    'labels_from_table', 'labels_from_voc_xml', 'load_pickled_npy', 'read_class_names', 'read_ids', 'seeded_sample',
    'transforms'
]
