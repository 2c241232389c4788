"""MXNet's ``.params`` files as its three generations wrote them."""

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np

_CODES = {'float32': 0, 'float64': 1, 'float16': 2, 'uint8': 3, 'int32': 4, 'int8': 5, 'int64': 6}


def array_bytes(array: np.ndarray, version: int) -> bytes:
    """Lay out one array; version 0 is the oldest, without a magic number."""
    start = {0: b'', 1: struct.pack('<I', 0xF993FAC8), 2: struct.pack('<Ii', 0xF993FAC9, 0)}[version]
    sides = struct.pack(f'<I{array.ndim}{"q" if version else "I"}', array.ndim, *array.shape)
    return start + sides + struct.pack('<iii', 1, 0, _CODES[array.dtype.name]) + array.tobytes()


def write_params(path: Path, arrays: Mapping[str, np.ndarray], version: int = 0) -> Path:
    """Write a file of named arrays."""
    names = [name.encode() for name in arrays]
    with open(path, 'wb') as file:
        file.write(struct.pack('<QQQ', 0x112, 0, len(arrays)))
        for array in arrays.values():
            file.write(array_bytes(array, version))
        file.write(struct.pack('<Q', len(names)))
        for name in names:
            file.write(struct.pack('<Q', len(name)) + name)
    return path
