"""Reading MXNet's ``.params`` files without MXNet.

A file is a list of dense arrays followed by their names, all numbers little-endian::

    uint64 0x112, uint64 reserved
    uint64 count, count arrays
    uint64 count, count names: uint64 length, bytes

Three formats of an array are in use. They differ in what comes before the device (two int32), the element type (int32)
and the values::

    0xF993FAC9, int32 storage type, uint32 dimensions, an int64 each    MXNet 1.0 and newer
    0xF993FAC8, uint32 dimensions, an int64 each                        0.11 and 0.12
    uint32 dimensions, an uint32 each                                   older
"""

import math
import os
import struct
from typing import Any, BinaryIO, Union

import numpy as np
import torch
from torch import Tensor

__all__ = ['is_mxnet_params', 'read_mxnet_params']

PathLike = Union[str, os.PathLike]

_FILE_MAGIC = 0x112
_V1_MAGIC, _V2_MAGIC = 0xF993FAC8, 0xF993FAC9
_MOST_DIMENSIONS = 32  # those of NumPy; a larger number is no number of dimensions
_DENSE_STORAGE = 0
_DTYPES = {0: '<f4', 1: '<f8', 2: '<f2', 3: 'u1', 4: '<i4', 5: 'i1', 6: '<i8'}


def is_mxnet_params(path: PathLike) -> bool:
    """Tell whether a file begins as a ``.params`` file does.

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
        ValueError: It is no such file, it is cut off or longer than its list, or holds sparse arrays, arrays without
            names or of an unknown type.
    """
    if not is_mxnet_params(path):
        raise ValueError(f'{path} is no MXNet .params file: it does not begin with {_FILE_MAGIC:#x}')
    with open(path, 'rb') as file:
        reader = _Reader(file, path)
        reader.take(16)
        arrays = [reader.array() for _ in range(reader.number('<Q'))]
        names = [reader.name() for _ in range(reader.number('<Q'))]
        if file.read(1):
            raise ValueError(f'{path} goes on after its list of {len(names)} names')
    if len(set(names)) != len(arrays) or len(names) != len(arrays):
        raise ValueError(f'{path} holds {len(arrays)} arrays and {len(set(names))} different names')
    return {name: torch.from_numpy(array) for name, array in zip(names, arrays)}


class _Reader:
    """Takes one thing after another from a file."""

    def __init__(self, file: BinaryIO, path: PathLike) -> None:
        self.file = file
        self.path = path
        self.left = os.fstat(file.fileno()).st_size

    def take(self, count: int) -> bytes:
        """Take ``count`` bytes; sizes are compared with the file's before anything of that size is allocated."""
        if count > self.left:
            raise ValueError(f'{self.path} is cut off or damaged: {count} more bytes are announced, {self.left} are '
                             'left')
        self.left -= count
        return self.file.read(count)

    def number(self, code: str) -> Any:
        return struct.unpack(code, self.take(struct.calcsize(code)))[0]

    def name(self) -> str:
        return self.take(self.number('<Q')).decode('utf-8', errors='replace')

    def array(self) -> np.ndarray:
        """Take one array in any of the formats."""
        first = self.number('<I')
        if first == _V2_MAGIC:
            storage = self.number('<i')
            if storage != _DENSE_STORAGE:
                raise ValueError(f'{self.path} holds a sparse array (storage type {storage}); only dense ones are '
                                 "read. In MXNet, array.tostype('default') makes it dense")
        newer = first in (_V1_MAGIC, _V2_MAGIC)
        shape = self.shape(self.number('<I') if newer else first, '<q' if newer else '<I')
        if not shape:  # an array without dimensions is an empty slot, with nothing after its shape
            raise ValueError(f'{self.path} holds an empty array')
        self.take(8)
        code = self.number('<i')
        if code not in _DTYPES:
            raise ValueError(f'{self.path} holds an array of the unknown element type {code}; known are '
                             f'{", ".join(f"{key} ({np.dtype(value)})" for key, value in _DTYPES.items())}')
        dtype = np.dtype(_DTYPES[code])
        values = np.frombuffer(self.take(math.prod(shape) * dtype.itemsize), dtype)
        return values.reshape(shape).astype(dtype.newbyteorder('='))

    def shape(self, dimensions: int, code: str) -> list[int]:
        if dimensions > _MOST_DIMENSIONS:
            raise ValueError(f'{self.path} is damaged: an array of {dimensions} dimensions')
        shape = [self.number(code) for _ in range(dimensions)]
        if any(side < 0 for side in shape):
            raise ValueError(f'{self.path} is damaged: an array of the shape {shape}')
        return shape
