"""Checkpoints: the safe loader, published layouts, formats of other frameworks, and the weights in the package."""

from .foreign_formats import is_mxnet_params, read_augreg_vit, read_mxnet_params
from .key_mapping import KeyLayout, KeyRule, MappedKeys, find_weights, map_keys
from .loader import CheckpointError, read_checkpoint, weights_of, write_checkpoint
from .official_layouts import MXNET_LAYOUTS, OFFICIAL_LAYOUTS
from .restricted_pickle import load_pickled_npy
from .schemes import asset_path, install_safe_loader, list_assets, local_path, require_checkpoint
from .weights import check_fit, checkpoint_hash, load_weights, weights_hash

__all__ = [
    'CheckpointError', 'KeyLayout', 'KeyRule', 'MXNET_LAYOUTS', 'MappedKeys', 'OFFICIAL_LAYOUTS', 'asset_path',
    'check_fit', 'checkpoint_hash', 'find_weights', 'install_safe_loader', 'is_mxnet_params', 'list_assets',
    'load_pickled_npy', 'load_weights', 'local_path', 'map_keys', 'read_augreg_vit', 'read_checkpoint',
    'read_mxnet_params', 'require_checkpoint', 'weights_hash', 'weights_of', 'write_checkpoint'
]
