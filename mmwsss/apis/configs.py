"""What inference needs to know of a config."""

import copy
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional, Union

from mmengine.config import Config
from mmengine.logging import print_log

from mmwsss.checkpoints import CheckpointError, local_path
from mmwsss.datasets import ImageLabelDataset
from mmwsss.registry import DATASETS
from mmwsss.utils.cli import find_config

__all__ = ['config_hash', 'config_meta', 'inference_pipeline', 'labelled_images', 'read_config', 'strip_pretrained']


def read_config(config: Union[str, os.PathLike, Config]) -> tuple[Config, str]:
    """Read a config, free to be changed.

    Args:
        config (str, PathLike or Config): A path, one of the package's as ``configs/...``, or a config,
            which is copied.

    Returns:
        tuple[Config, str]: The config and what messages call it.

    Raises:
        FileNotFoundError: There is no such file.
        TypeError: It is neither a path nor a config.
    """
    if isinstance(config, Config):
        return copy.deepcopy(config), f'config {config.filename or "given"}'
    if isinstance(config, (str, os.PathLike)):
        return Config.fromfile(find_config(config)), f'config {config}'
    raise TypeError(f'config must be a path or a mmengine Config, got {type(config).__name__}')


def strip_pretrained(node: Any, keep_local: bool) -> None:
    """Drop the pretrained weights named anywhere in a model config.

    Args:
        node (Any): The config or a part of it; changed in place.
        keep_local (bool): Keep files on this machine and in the package; warn of what is dropped.

    Raises:
        CheckpointError: With ``keep_local``, a file on this machine is named that does not exist.
    """
    if isinstance(node, (list, tuple)):
        for item in node:
            strip_pretrained(item, keep_local)
    if not isinstance(node, dict):
        return
    if isinstance(node.get('pretrained'), str) and not (keep_local and _is_local(node['pretrained'])):
        node['pretrained'] = None
    inits = node.get('init_cfg')
    for init in inits if isinstance(inits, list) else [inits]:
        path = init.get('checkpoint') if isinstance(init, dict) else None
        if path is not None and not (keep_local and _is_local(path)):
            node['init_cfg'] = None
            if keep_local:
                print_log(f'pretrained weights {path} are not loaded: they are not on this machine, and '
                          'no checkpoint was given, so the model has random weights', logger='current')
            break
    for key, value in node.items():
        if key != 'init_cfg':
            strip_pretrained(value, keep_local)


def config_meta(cfg: Config) -> dict:
    """Classes and palette of the config's test, validation or training data, which need not exist.

    Args:
        cfg (Config): The config.

    Returns:
        dict: ``classes`` (background first), ``palette`` and whatever else its dataset states; empty if
        no dataset of the config names classes.
    """
    for key in ('test_dataloader', 'val_dataloader', 'train_dataloader'):
        node = cfg.get(key) and cfg[key].get('dataset')
        while node and (node.get('dataset') or node.get('datasets')):
            node = node.get('dataset') or node['datasets'][0]
        meta = _leaf_meta(node) if node else {}
        if meta.get('classes'):
            return meta
    return {}


def inference_pipeline(cfg: Config) -> list[dict]:
    """The test pipeline of a config, without the loading of masks.

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
                return _without_masks(dataset['pipeline'])
            dataset = dataset.get('dataset')
    if cfg.get('test_pipeline'):
        return _without_masks(cfg['test_pipeline'])
    raise ValueError('the config has no test pipeline: neither test_dataloader.dataset, '
                     'val_dataloader.dataset nor test_pipeline gives one')


def config_hash(cfg: Config) -> str:
    """SHA-256 of what a config says about the model and how images reach it, in hexadecimal."""
    described = json.dumps([cfg.model.to_dict(), inference_pipeline(cfg)], sort_keys=True, default=str)
    return hashlib.sha256(described.encode()).hexdigest()


def labelled_images(cfg: Config, split: str = 'train', dataset: Optional[dict] = None) -> ImageLabelDataset:
    """The images and image labels of a config's data, with its test pipeline; masks stay hidden.

    Args:
        cfg (Config): Whose dataloaders' data sets are :class:`~mmwsss.datasets.ImageLabelDataset`, inside of other
            wrappers or not.
        split (str): ``'train'``, ``'val'`` or ``'test'`` for the data of that dataloader, or a text file
            with an image id per line, looked up in the training data's folder and labels.
        dataset (dict, optional): Config of other data, in place of that dataloader's.

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
    node.update(pipeline=inference_pipeline(cfg), show_masks=False, empty='keep', seed=None, test_mode=True,
                verify_images=False)
    if not named:
        _leaf(node, key)['ann_file'] = str(Path(split).resolve())
    return DATASETS.build(node)


def _without_masks(pipeline: Sequence[dict]) -> list[dict]:
    return [copy.deepcopy(t) for t in pipeline if str(t['type']).split('.')[-1] != 'LoadAnnotations']


def _is_local(path: str) -> bool:
    """Whether weights are a file here, or come with the package."""
    try:
        file = local_path(path)
    except FileNotFoundError as error:
        raise CheckpointError(f'init_cfg names a checkpoint that is not there: {error}') from error
    if file is not None and not file.is_file():
        raise CheckpointError(f'init_cfg names the checkpoint {path}, and there is no such file: correct the path, or '
                              'set init_cfg=None to start from random weights')
    return file is not None


def _leaf_meta(leaf: dict) -> dict:
    """What a data set states about itself, asked without reading its images."""
    try:
        return dict(DATASETS.build({**leaf, 'lazy_init': True, 'pipeline': []}).metainfo)
    except (OSError, ValueError, KeyError, TypeError, AssertionError):
        return dict(leaf.get('metainfo') or {})  # the data are elsewhere


def _leaf(node: dict, key: str) -> dict:
    """The config of the data set at the end of nested wrappers."""
    while node.get('dataset'):
        node = node['dataset']
    if node.get('datasets'):
        raise ValueError(f'{key}.dataset joins several data sets: a list of image ids fits only a single one')
    return node
