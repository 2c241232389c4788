"""Data of a config for inference: the test pipeline, the images with their labels, and all paths."""

import copy
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Optional, Union

from mmengine.config import Config
from mmseg.datasets.transforms import PackSegInputs

from mmwsss.registry import DATASETS

from .image_label_dataset import ImageLabelDataset

__all__ = ['config_hash', 'data_paths', 'inference_pipeline', 'keep_images', 'labelled_images', 'without_masks']


def inference_pipeline(cfg: Config) -> list[dict]:
    """Return the test pipeline of a config, without the loading of masks.

    Args:
        cfg (Config): With ``test_dataloader``, ``val_dataloader`` or ``test_pipeline``.

    Returns:
        list[dict]: A copy of its transforms.

    Raises:
        ValueError: The config has no test pipeline.
    """
    for key in ('test_dataloader', 'val_dataloader'):
        dataset = cfg.get(key) and cfg[key].get('dataset')
        while dataset:
            if dataset.get('pipeline'):
                return without_masks(dataset['pipeline'])
            dataset = dataset.get('dataset')
    if cfg.get('test_pipeline'):
        return without_masks(cfg['test_pipeline'])
    raise ValueError('the config has no test pipeline: neither test_dataloader.dataset, '
                     'val_dataloader.dataset nor test_pipeline gives one')


def without_masks(pipeline: Sequence[dict]) -> list[dict]:
    """Return a pipeline without the loading of masks, also inside of ``TestTimeAug`` and similar transforms.

    Args:
        pipeline (Sequence[dict]): Configs of transforms.

    Returns:
        list[dict]: A copy. An alternative of ``TestTimeAug`` that only loads masks is left out.
    """
    steps = []
    for step in pipeline:
        if isinstance(step, dict):
            step = copy.deepcopy(step)
            if step.get('transforms'):
                step['transforms'] = without_masks(step['transforms'])
            if _bare(step) != 'LoadAnnotations':
                steps.append(step)
        elif rest := without_masks(step):
            steps.append(rest)
    return steps


def keep_images(pipeline: Sequence[dict]) -> list[dict]:
    """Return a pipeline whose samples also have the decoded image; see :class:`~mmwsss.datasets.transforms.KeepImage`.

    Args:
        pipeline (Sequence[dict]): Configs of transforms, the first of which loads the image.

    Returns:
        list[dict]: A copy with ``KeepImage`` behind the first transform, where it has none, and with ``'image'`` among
        the meta keys of every ``PackSegInputs``, also inside of ``TestTimeAug``.
    """
    steps = copy.deepcopy(list(pipeline))
    if not any(_bare(step) == 'KeepImage' for step in steps):
        steps.insert(1, dict(type='mmwsss.KeepImage'))
    for step in _all_steps(steps):
        if _bare(step) == 'PackSegInputs':
            keys = step.get('meta_keys') or PackSegInputs().meta_keys
            step['meta_keys'] = (*(key for key in keys if key != 'image'), 'image')
    return steps


def _all_steps(node: Union[dict, Sequence]) -> Iterator[dict]:
    """Yield the transforms of a pipeline, including nested ones."""
    if isinstance(node, dict):
        yield node
        node = node.get('transforms') or ()
    for part in node:
        yield from _all_steps(part)


def config_hash(cfg: Config) -> str:
    """Compute the SHA-256 of the model and the test pipeline in a config, in hexadecimal."""
    described = json.dumps([cfg.model.to_dict(), inference_pipeline(cfg)], sort_keys=True, default=str)
    return hashlib.sha256(described.encode()).hexdigest()


def labelled_images(cfg: Config, split: str = 'train', dataset: Optional[dict] = None) -> ImageLabelDataset:
    """Build the images and image labels of a config's data, with its test pipeline; masks stay hidden.

    Samples keep the decoded image (:class:`~mmwsss.datasets.transforms.KeepImage`).

    Args:
        cfg (Config): Whose dataloaders' data sets are :class:`~mmwsss.datasets.ImageLabelDataset`, inside of other
            wrappers or not.
        split (str): ``'train'``, ``'val'`` or ``'test'`` for the data of that dataloader, or a text file
            with an image id per line, looked up in the training data's folder and labels.
        dataset (dict, optional): Config of other data. Defaults to that of the dataloader.

    Returns:
        ImageLabelDataset: Every image of the split, also those that show no class.

    Raises:
        FileNotFoundError: The list of ids, or data of the split, do not exist.
        ValueError: The config has no such data, or no image labels for it.
    """
    named = split in ('train', 'val', 'test')
    key = f'{split}_dataloader' if named else 'train_dataloader'
    if not named and not Path(split).is_file():
        raise FileNotFoundError(f"split must be 'train', 'val', 'test' or a list of image ids, and there is no file "
                                f'{split}')
    if dataset is None and not cfg.get(key):
        raise ValueError(f'the config has no {key}')
    node = copy.deepcopy(cfg[key].dataset if dataset is None else dataset)
    while not str(node.get('type')).endswith('ImageLabelDataset'):
        node = node.get('dataset')
        if node is None:
            raise ValueError(f'{key}.dataset of the config gives no image labels: wrap it as '
                             "dict(type='ImageLabelDataset', label_file=..., dataset=...)")
    node.update(pipeline=keep_images(inference_pipeline(cfg)), show_masks=False, empty='keep', seed=None,
                test_mode=True, verify_images=False)
    if not named:
        _leaf(node, key)['ann_file'] = str(Path(split).resolve())
    return DATASETS.build(node)


def data_paths(cfg: Config) -> list[str]:
    """List the files and folders that the data sets of a config name: images, masks, lists, labels.

    Args:
        cfg (Config): The config.

    Returns:
        list[str]: Paths, whether or not they exist.
    """
    return [path for split in ('train', 'val', 'test') if cfg.get(f'{split}_dataloader')
            for path in _paths_of(cfg[f'{split}_dataloader'].get('dataset') or {})]


def _paths_of(node: dict) -> Iterator[str]:
    root = node.get('data_root') or ''
    for value in (node.get('data_prefix') or {}).values():
        if isinstance(value, str):
            yield os.path.join(root, value)
    for key in ('ann_file', 'label_file', 'pseudo_label_dir', 'classes'):
        if isinstance(node.get(key), str) and node[key]:
            yield os.path.join(root, node[key])
            yield node[key]
    for part in [node.get('dataset'), *(node.get('datasets') or ())]:
        if isinstance(part, dict):
            yield from _paths_of(part)


def _bare(step: dict) -> str:
    """Return the type of a transform without its scope."""
    return str(step['type']).split('.')[-1]


def _leaf(node: dict, key: str) -> dict:
    """Return the config of the data set at the end of nested wrappers."""
    while node.get('dataset'):
        node = node['dataset']
    if node.get('datasets'):
        raise ValueError(f'{key}.dataset joins several data sets: a list of image ids fits only a single one')
    return node
