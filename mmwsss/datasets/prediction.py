"""Test data without masks: what a config needs so that its model predicts them without metrics."""

import logging
import os
from collections.abc import Sequence

from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log

from .config import dataset_configs, is_a
from .image_label_dataset import ImageLabelDataset
from .inference_data import without_masks
from .photo_dataset import PhotoDataset

__all__ = ['lacks_masks', 'predict_only']


def lacks_masks(cfg: Config) -> bool:
    """Return whether a config names images but no masks for its test data.

    Args:
        cfg (Config): With ``test_dataloader``.

    Returns:
        bool: True if each test set has ``data_prefix.img_path`` and none has ``data_prefix.seg_map_path``.
    """
    prefixes = [leaf.get('data_prefix') or {} for split, leaf, _ in dataset_configs(cfg) if split == 'test']
    return bool(prefixes) and all('img_path' in prefix and 'seg_map_path' not in prefix for prefix in prefixes)


def predict_only(cfg: Config, classes: Sequence[str] = ()) -> None:
    """Change a config so that its test data are predicted without masks, image labels and metrics.

    Args:
        cfg (Config): Changed in place: the pipelines of the test data do not load masks, wrappers that read image
            labels are removed, and there is no metric.
        classes (Sequence[str]): Foreground classes for a :class:`~mmwsss.datasets.PhotoDataset` whose class file does
            not exist. Defaults to none.
    """
    loader = cfg.test_dataloader
    loader.dataset = _prepared(loader.dataset)
    for split, leaf, _ in dataset_configs(cfg):
        if split == 'test' and classes and _lacks_class_file(leaf):
            leaf.classes = list(classes)
    cfg.test_evaluator = []
    print_log('the test data have no masks: they are predicted without metrics', logger='current',
              level=logging.WARNING)


def _prepared(node: ConfigDict) -> ConfigDict:
    """Return the config of a test set without the loading of masks and of image labels."""
    if node.get('pipeline') is not None:
        node.pipeline = without_masks(node.pipeline)
    if node.get('datasets'):
        node.datasets = [_prepared(part) for part in node.datasets]
    if not isinstance(node.get('dataset'), dict):
        return node
    node.dataset = _prepared(node.dataset)
    if not is_a(node, ImageLabelDataset):
        return node
    if node.get('pipeline') is not None:
        _set_pipeline(node.dataset, node.pipeline)
    return node.dataset


def _set_pipeline(node: ConfigDict, pipeline: Sequence[dict]) -> None:
    """Make the data sets in a config run a pipeline in test mode."""
    parts = node.get('datasets') or ([node.dataset] if node.get('dataset') else [])
    for part in parts:
        _set_pipeline(part, pipeline)
    if not parts:
        node.update(pipeline=pipeline, test_mode=True)


def _lacks_class_file(leaf: ConfigDict) -> bool:
    """Return whether a data set of photographs names a class file that does not exist."""
    names = leaf.get('classes')
    if not is_a(leaf, PhotoDataset) or not isinstance(names, str) or not names.endswith(('.txt', '.json')):
        return False
    return not any(os.path.isfile(path) for path in (names, os.path.join(leaf.get('data_root') or '', names)))
