"""Read and prepare configs for inference."""

import copy
import os
from typing import Any, Union

from mmengine.config import Config

from mmwsss.checkpoints import CheckpointError, local_path
from mmwsss.datasets import config_hash, inference_pipeline, labelled_images
from mmwsss.registry import DATASETS
from mmwsss.utils.cli import read_config_file
from mmwsss.utils.console import notify

__all__ = ['config_hash', 'config_meta', 'inference_pipeline', 'labelled_images', 'read_config', 'strip_pretrained']


def read_config(config: Union[str, os.PathLike, Config]) -> tuple[Config, str]:
    """Read a config and return a copy that the caller may change.

    Args:
        config (str, PathLike or Config): A path, one of the package's as ``configs/...``, or a config,
            which is copied.

    Returns:
        tuple[Config, str]: The config, and its name for messages.

    Raises:
        FileNotFoundError: There is no such file.
        TypeError: It is neither a path nor a config.
    """
    if isinstance(config, Config):
        return copy.deepcopy(config), f'config {config.filename or "given"}'
    if isinstance(config, (str, os.PathLike)):
        return read_config_file(config), f'config {config}'
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
                notify(f'pretrained weights {path} are not loaded: they are not on this machine, and no checkpoint '
                       'was given, so the model has random weights')
            break
    for key, value in node.items():
        if key != 'init_cfg':
            strip_pretrained(value, keep_local)


def config_meta(cfg: Config) -> dict:
    """Return classes and palette of the config's test, validation or training data, which need not exist on disk.

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


def _is_local(path: str) -> bool:
    """Return whether a checkpoint is a file on this machine or comes with the package."""
    try:
        file = local_path(path)
    except FileNotFoundError as error:
        raise CheckpointError(f'init_cfg names a checkpoint that does not exist: {error}') from error
    if file is not None and not file.is_file():
        raise CheckpointError(f'init_cfg names the checkpoint {path}, and there is no such file: correct the path, or '
                              'set init_cfg=None to start from random weights')
    return file is not None


def _leaf_meta(leaf: dict) -> dict:
    """Return the meta information of a data set without reading its images."""
    try:
        return dict(DATASETS.build({**leaf, 'lazy_init': True, 'pipeline': []}).metainfo)
    except (OSError, ValueError, KeyError, TypeError, AssertionError):
        return dict(leaf.get('metainfo') or {})  # the data are elsewhere
