"""What inference needs to know of a config."""

import copy
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Union

from mmengine.config import Config
from mmengine.logging import print_log

from mmwsss.registry import DATASETS
from mmwsss.utils.cli import find_config

__all__ = ['config_meta', 'inference_pipeline', 'read_config', 'strip_pretrained']


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
        dataset = cfg.get(key) and cfg[key].get('dataset')
        while dataset:
            found = {**_class_meta(dataset.get('type')), **(dataset.get('metainfo') or {})}
            if found.get('classes'):
                return dict(found)
            dataset = dataset.get('dataset')
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


def _without_masks(pipeline: Sequence[dict]) -> list[dict]:
    return [copy.deepcopy(t) for t in pipeline if str(t['type']).split('.')[-1] != 'LoadAnnotations']


def _is_local(path: str) -> bool:
    return path.startswith('mmwsss://') or Path(path).expanduser().is_file()


def _class_meta(kind: Any) -> dict:
    dataset_class = DATASETS.get(kind) if isinstance(kind, str) else kind
    return getattr(dataset_class, 'METAINFO', {})
