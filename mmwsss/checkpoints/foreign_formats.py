"""Read published weights in the formats of other frameworks: MXNet's ``.params`` and JAX's ``.npz`` files.

A ``.params`` file, read without MXNet, is a list of dense arrays followed by their names, all numbers little-endian::

    uint64 0x112, uint64 reserved
    uint64 count, count arrays
    uint64 count, count names: uint64 length, bytes

Three formats of an array are in use. They differ in what comes before the device (two int32), the element type (int32)
and the values::

    0xF993FAC9, int32 storage type, uint32 dimensions, an int64 each    MXNet 1.0 and newer
    0xF993FAC8, uint32 dimensions, an int64 each                        0.11 and 0.12
    uint32 dimensions, an uint32 each                                   older

The ``.npz`` files are the Vision Transformers of "How to train your ViT?" (AugReg), whose arrays are named and laid out
as in JAX.
"""

import math
import os
import re
import struct
import zipfile
import zlib
from typing import Any, BinaryIO, Union

import numpy as np
import torch
from torch import Tensor

from .loader import CheckpointError, check_finite

__all__ = ['augreg_weights', 'is_mxnet_params', 'read_augreg_vit', 'read_mxnet_params']

PathLike = Union[str, os.PathLike]

_FILE_MAGIC = 0x112
_V1_MAGIC, _V2_MAGIC = 0xF993FAC8, 0xF993FAC9
_MOST_DIMENSIONS = 32  # Limit of NumPy. A larger number indicates a damaged file.
_DENSE_STORAGE = 0
_ATTENTION = 'MultiHeadDotProductAttention_1'
_DTYPES = {0: '<f4', 1: '<f8', 2: '<f2', 3: 'u1', 4: '<i4', 5: 'i1', 6: '<i8'}


def is_mxnet_params(path: PathLike) -> bool:
    """Return whether a file begins as a ``.params`` file does.

    Raises:
        FileNotFoundError: There is no such file.
    """
    with open(path, 'rb') as file:
        return file.read(8) == struct.pack('<Q', _FILE_MAGIC)


def read_mxnet_params(path: PathLike) -> dict[str, Tensor]:
    """Read the arrays of a ``.params`` file.

    Args:
        path: The file.

    Returns:
        Tensors by name, in the file's order. Names of parameters begin with ``arg:``, of statistics with ``aux:``.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: It is no such file, it is cut off or longer than its list, or holds sparse arrays, arrays
            without names or of an unknown type.
    """
    if not is_mxnet_params(path):
        raise CheckpointError(
            f'{path} is no MXNet .params file: it does not begin with {_FILE_MAGIC:#x}')
    with open(path, 'rb') as file:
        reader = _Reader(file, path)
        reader.take(16)
        arrays = [reader.array() for _ in range(reader.number('<Q'))]
        names = [reader.name() for _ in range(reader.number('<Q'))]
        if file.read(1):
            raise CheckpointError(f'{path} goes on after its list of {len(names)} names')
    if len(set(names)) != len(arrays) or len(names) != len(arrays):
        raise CheckpointError(f'{path} holds {len(arrays)} arrays and {len(set(names))} different names')
    weights = {name: torch.from_numpy(array) for name, array in zip(names, arrays)}
    check_finite(weights, f'checkpoint {path}')
    return weights


class _Reader:
    """Read the parts of a ``.params`` file one after another."""

    def __init__(self, file: BinaryIO, path: PathLike) -> None:
        self.file = file
        self.path = path
        self.left = os.fstat(file.fileno()).st_size

    def take(self, count: int) -> bytes:
        """Read ``count`` bytes; refuse, before anything is allocated, to read beyond the end of the file."""
        if count > self.left:
            raise CheckpointError(
                f'{self.path} is cut off or damaged: {count} more bytes are announced, {self.left} are left')
        self.left -= count
        return self.file.read(count)

    def number(self, code: str) -> Any:
        return struct.unpack(code, self.take(struct.calcsize(code)))[0]

    def name(self) -> str:
        return self.take(self.number('<Q')).decode('utf-8', errors='replace')

    def array(self) -> np.ndarray:
        """Read one array in any of the formats."""
        first = self.number('<I')
        if first == _V2_MAGIC:
            storage = self.number('<i')
            if storage != _DENSE_STORAGE:
                raise CheckpointError(
                    f'{self.path} holds a sparse array (storage type {storage}); only dense ones are read. In MXNet, '
                    "array.tostype('default') makes it dense")
        newer = first in (_V1_MAGIC, _V2_MAGIC)
        shape = self.shape(self.number('<I') if newer else first, '<q' if newer else '<I')
        if not shape:  # an array without dimensions is an empty slot, with nothing after its shape
            raise CheckpointError(f'{self.path} holds an empty array')
        self.take(8)
        code = self.number('<i')
        if code not in _DTYPES:
            raise CheckpointError(f'{self.path} holds an array of the unknown element type {code}; known are '
                                  f'{", ".join(f"{key} ({np.dtype(value)})" for key, value in _DTYPES.items())}')
        dtype = np.dtype(_DTYPES[code])
        values = np.frombuffer(self.take(math.prod(shape) * dtype.itemsize), dtype)
        return values.reshape(shape).astype(dtype.newbyteorder('='))

    def shape(self, dimensions: int, code: str) -> list[int]:
        if dimensions > _MOST_DIMENSIONS:
            raise CheckpointError(f'{self.path} is damaged: an array of {dimensions} dimensions')
        shape = [self.number(code) for _ in range(dimensions)]
        if any(side < 0 for side in shape):
            raise CheckpointError(f'{self.path} is damaged: an array of the shape {shape}')
        return shape


def read_augreg_vit(path: PathLike) -> dict[str, Tensor]:
    """Read an AugReg file and rename its arrays for mmpretrain's ``VisionTransformer``.

    Args:
        path: The ``.npz`` file.

    Returns:
        The backbone's weights by name; the ImageNet head is left out.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: It is damaged, holds pickled objects, or lacks an array of such a backbone.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f'checkpoint {path} does not exist')
    try:
        with np.load(path, allow_pickle=False) as arrays:
            weights = augreg_weights(arrays)
    except KeyError as error:
        raise CheckpointError(f'{path} is no Vision Transformer of AugReg: {error.args[0]}') from error
    except (ValueError, TypeError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise CheckpointError(f'{path} is no .npz file of arrays, or is damaged: {error}') from error
    check_finite(weights, f'checkpoint {path}')
    return weights


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
    layers = [int(found[1]) for found in map(re.compile(r'Transformer/encoderblock_(\d+)/').match, arrays) if found]
    for layer in range(max(layers, default=-1) + 1):
        weights.update(_layer(arrays, f'Transformer/encoderblock_{layer}', f'layers.{layer}'))
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
