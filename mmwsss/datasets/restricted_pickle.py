"""Reading pickled NumPy dictionaries without running what a pickle could bring along."""

import collections
import io
import os
import pickle
from pathlib import Path
from typing import Any, Union

import numpy as np

__all__ = ['load_pickled_npy']


class _Refused(pickle.UnpicklingError):
    """The pickle asks for something that is not allowed."""


def _latin1_bytes(text: str, encoding: str) -> bytes:
    """Stand in for ``_codecs.encode``, by which old pickles spell bytes."""
    if encoding != 'latin1':
        raise _Refused(f'the codec {encoding!r} is refused')
    return text.encode('latin1')


def _allowed_globals() -> dict[tuple[str, str], Any]:
    """Map the globals that arrays and plain containers need to what stands for them."""
    array = np.zeros(1)
    reconstruct = array.__reduce__()[0]
    scalar = np.float32(0).__reduce__()[0]
    table: dict[tuple[str, str], Any] = {
        ('numpy', 'ndarray'): np.ndarray,
        ('numpy', 'dtype'): np.dtype,
        ('collections', 'OrderedDict'): collections.OrderedDict,
        ('_codecs', 'encode'): _latin1_bytes,
    }
    for package in ('numpy.core', 'numpy._core'):
        table[package + '.multiarray', '_reconstruct'] = reconstruct
        table[package + '.multiarray', 'scalar'] = scalar
    for builtins in ('builtins', '__builtin__'):
        for kind in (set, frozenset, bytearray):
            table[builtins, kind.__name__] = kind
    return table


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickler that knows NumPy arrays, dtypes and scalars and plain containers only."""

    _table = _allowed_globals()

    def find_class(self, module: str, name: str) -> Any:
        """Look a global up in the list of allowed ones instead of importing it."""
        try:
            return self._table[module, name]
        except KeyError:
            raise _Refused(
                f'it asks for {module}.{name}, which is neither a NumPy array nor a plain '
                'container') from None

    def persistent_load(self, pid: Any) -> Any:
        """Refuse references to outside objects."""
        raise _Refused('it refers to objects outside the file')


def load_pickled_npy(path: Union[str, os.PathLike]) -> Any:
    """Read the object that ``numpy.save(path, a_dict)`` wrote.

    Nothing is imported and nothing called but the constructors of NumPy arrays, dtypes and
    scalars, and of plain containers.

    Args:
        path (str or PathLike): The ``.npy`` file.

    Returns:
        Any: The object of a 0-d object array, else the array itself.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no ``.npy``, is cut short, or holds anything else; the global that was
            refused is named.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'label file {path} does not exist')
    with path.open('rb') as file:
        try:
            version = np.lib.format.read_magic(file)
            reader = (np.lib.format.read_array_header_1_0 if version == (1, 0)
                      else np.lib.format.read_array_header_2_0)
            _, _, dtype = reader(file)
        except ValueError as error:
            raise ValueError(f'{path} is not a NumPy .npy file: {error}') from error
        if not dtype.hasobject:
            return np.load(path, allow_pickle=False)
        payload = io.BytesIO(file.read())
    try:
        loaded = _ArrayUnpickler(payload, encoding='latin1').load()
    except _Refused as error:
        raise ValueError(f'{path} is refused: {error}. Only arrays and plain containers are read '
                         'from pickled files, because anything else could run code') from error
    except Exception as error:  # a damaged pickle can raise about anything
        raise ValueError(f'{path} is damaged: {error!r}') from error
    if isinstance(loaded, np.ndarray) and loaded.shape == ():
        return loaded.item()
    return loaded
