"""Vision Transformers of "How to train your ViT?" (AugReg), published as arrays in JAX's layout."""

import os
from typing import Any, Optional

import numpy as np
import torch
from mmengine.runner import CheckpointLoader
from torch import Tensor

from .download import cached_download

__all__ = ['augreg_weights', 'load_augreg_vit']

_ATTENTION = 'MultiHeadDotProductAttention_1'


@CheckpointLoader.register_scheme(prefixes='augreg+', force=True)
def load_augreg_vit(filename: str, map_location: Optional[str] = None, logger: Any = 'current') -> dict:
    """Load a published ``.npz`` file and rename its arrays for mmpretrain's ``VisionTransformer``.

    Args:
        filename: ``augreg+`` and a path or an http(s) URL, which is downloaded once into torch's cache of checkpoints.
        map_location: Ignored: arrays are read on the CPU.
        logger: As in mmengine.

    Returns:
        ``state_dict``: the backbone's weights; the ImageNet head is left out.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file lacks an array of such a backbone.
    """
    path = filename[len('augreg+'):]
    if path.startswith(('http://', 'https://')):
        path = cached_download(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f'checkpoint {path} does not exist')
    with np.load(path, allow_pickle=False) as arrays:
        try:
            return dict(state_dict=augreg_weights(arrays))
        except KeyError as error:
            raise ValueError(f'{path} is no Vision Transformer of AugReg: {error.args[0]}') from error


def augreg_weights(arrays: Any) -> dict[str, Tensor]:
    """Rename and reshape arrays by JAX's names.

    Kernels are (inputs, outputs), those of attention (D, heads, d) or (heads, d, D), the patch kernel (p, p, 3, D).

    Args:
        arrays: Maps names to arrays.

    Returns:
        Weights by mmpretrain's names.

    Raises:
        KeyError: If an array is missing.
    """
    weights = {
        'cls_token': arrays['cls'],
        'pos_embed': arrays['Transformer/posembed_input/pos_embedding'],
        'patch_embed.projection.weight': arrays['embedding/kernel'].transpose(3, 2, 0, 1),
        'patch_embed.projection.bias': arrays['embedding/bias'],
        **_norm(arrays, 'Transformer/encoder_norm', 'ln1')}
    layer = 0
    while f'Transformer/encoderblock_{layer}/LayerNorm_0/scale' in arrays:
        weights.update(_layer(arrays, f'Transformer/encoderblock_{layer}', f'layers.{layer}'))
        layer += 1
    return {name: torch.tensor(np.ascontiguousarray(value)) for name, value in weights.items()}


def _layer(arrays: Any, old: str, new: str) -> dict[str, np.ndarray]:
    qkv = [arrays[f'{old}/{_ATTENTION}/{part}/kernel'] for part in ('query', 'key', 'value')]
    biases = [arrays[f'{old}/{_ATTENTION}/{part}/bias'].reshape(-1) for part in ('query', 'key', 'value')]
    width = len(qkv[0])
    return {
        **_norm(arrays, f'{old}/LayerNorm_0', f'{new}.ln1'),
        **_norm(arrays, f'{old}/LayerNorm_2', f'{new}.ln2'),
        f'{new}.attn.qkv.weight': np.concatenate([kernel.reshape(width, -1).T for kernel in qkv]),
        f'{new}.attn.qkv.bias': np.concatenate(biases),
        f'{new}.attn.proj.weight': arrays[f'{old}/{_ATTENTION}/out/kernel'].reshape(-1, width).T,
        f'{new}.attn.proj.bias': arrays[f'{old}/{_ATTENTION}/out/bias'],
        f'{new}.ffn.layers.0.0.weight': arrays[f'{old}/MlpBlock_3/Dense_0/kernel'].T,
        f'{new}.ffn.layers.0.0.bias': arrays[f'{old}/MlpBlock_3/Dense_0/bias'],
        f'{new}.ffn.layers.1.weight': arrays[f'{old}/MlpBlock_3/Dense_1/kernel'].T,
        f'{new}.ffn.layers.1.bias': arrays[f'{old}/MlpBlock_3/Dense_1/bias']}


def _norm(arrays: Any, old: str, new: str) -> dict[str, np.ndarray]:
    return {f'{new}.weight': arrays[f'{old}/scale'], f'{new}.bias': arrays[f'{old}/bias']}
