"""Checkpoints: the safe loader, published layouts, formats of other frameworks, and the weights in the package."""

from .backbone_layouts import BACKBONE_LAYOUTS, check_backbone_fit, read_backbone, rename_backbone
from .foreign_formats import is_mxnet_params, read_augreg_vit, read_mxnet_params
from .key_mapping import KeyLayout, KeyRule, MappedKeys, find_weights, map_keys
from .loader import CheckpointError, read_checkpoint, weights_of, write_checkpoint
from .official_layouts import MXNET_LAYOUTS, OFFICIAL_LAYOUTS
from .pypi_starts import PYPI_STARTS, fetch_start, start_path
from .recognition import ModelVersion, model_version, official_methods
from .restricted_pickle import load_pickled_npy
from .schemes import asset_path, check_start, install_safe_loader, list_assets, local_path, require_checkpoint
from .weights import check_fit, checkpoint_hash, load_weights, weights_hash

__all__ = [
    'BACKBONE_LAYOUTS', 'CheckpointError', 'KeyLayout', 'KeyRule', 'MXNET_LAYOUTS', 'MappedKeys', 'ModelVersion',
    'OFFICIAL_LAYOUTS', 'PYPI_STARTS', 'asset_path', 'check_backbone_fit', 'check_fit', 'check_start',
    'checkpoint_hash', 'fetch_start', 'find_weights', 'install_safe_loader', 'is_mxnet_params', 'list_assets',
    'load_pickled_npy', 'load_weights', 'local_path', 'map_keys', 'model_version', 'official_methods',
    'read_augreg_vit', 'read_backbone', 'read_checkpoint', 'read_mxnet_params', 'rename_backbone',
    'require_checkpoint', 'start_path', 'weights_hash', 'weights_of', 'write_checkpoint'
]
