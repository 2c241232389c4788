"""Read pickles without running code that a pickle could contain.

Two kinds of files are pickles: dictionaries of arrays in ``.npy`` files, and checkpoints. Each kind has a list of the
classes and functions that it needs, by name. Nothing is imported by a name that stands in a file.
"""

import collections
import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Union

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from torch import _weights_only_unpickler as torch_list

from mmwsss.utils.files import call_again_if_disturbed

__all__ = ['RefusedGlobalError', 'checkpoint_globals', 'checkpoint_pickle_module', 'load_pickled_npy']

_DTYPE_CODES = ('?', 'i1', 'u1', 'i2', 'u2', 'i4', 'u4', 'i8', 'u8', 'f2', 'f4', 'f8', 'U', 'S')
_OLD_MODULES = {'__builtin__': 'builtins', 'copy_reg': 'copyreg'}


class RefusedGlobalError(pickle.UnpicklingError):
    """A pickle refers to a class or function that is not on the list."""


def _numpy_functions() -> dict[str, Any]:
    """Return the functions that build NumPy arrays and scalars, by their names in the pickles of any NumPy version."""
    functions = {'_reconstruct': np.zeros(1).__reduce__()[0], 'scalar': np.float32(0).__reduce__()[0]}
    named = {f'{package}.multiarray.{name}': function for name, function in functions.items()
             for package in ('numpy.core', 'numpy._core')}
    return {'numpy.ndarray': np.ndarray, 'numpy.dtype': np.dtype, **named}


def _latin1_bytes(text: str, encoding: str) -> bytes:
    """Replace ``_codecs.encode``, with which old pickles store bytes."""
    if encoding != 'latin1':
        raise RefusedGlobalError(f'the codec {encoding!r} is refused')
    return text.encode('latin1')


_ARRAY_GLOBALS = {
    **_numpy_functions(),
    'collections.OrderedDict': collections.OrderedDict,
    '_codecs.encode': _latin1_bytes,
    **{f'builtins.{kind.__name__}': kind for kind in (set, frozenset, bytearray)},
}


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickler that only knows NumPy arrays, dtypes and scalars, and plain containers."""

    def find_class(self, module: str, name: str) -> Any:
        """Look a name up in the list instead of importing it."""
        try:
            return _ARRAY_GLOBALS[f'{_OLD_MODULES.get(module, module)}.{name}']
        except KeyError:
            raise RefusedGlobalError(
                f'it asks for {module}.{name}, which is neither a NumPy array nor a plain container') from None

    def persistent_load(self, pid: Any) -> Any:
        """Refuse references to outside objects."""
        raise RefusedGlobalError('it refers to objects outside the file')


def _read_dtype(file: io.BufferedIOBase) -> np.dtype:
    """Read the header of a ``.npy`` file from its beginning."""
    file.seek(0)
    version = np.lib.format.read_magic(file)
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return reader(file)[2]


def load_pickled_npy(path: Union[str, os.PathLike]) -> Any:
    """Read the object that ``numpy.save(path, a_dict)`` wrote.

    Nothing is imported, and only the constructors of NumPy arrays, dtypes, scalars and plain containers are called.

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
        raise FileNotFoundError(f'file {path} does not exist')
    with path.open('rb') as file:
        try:
            if not call_again_if_disturbed(lambda: _read_dtype(file)).hasobject:
                return call_again_if_disturbed(lambda: np.load(path, allow_pickle=False))
        except Exception as error:  # the header is a Python literal; a damaged one raises many kinds of errors
            raise ValueError(f'{path} is not a NumPy .npy file: {" ".join(str(error).split())}') from error
        payload = io.BytesIO(file.read())
    try:
        loaded = _ArrayUnpickler(payload, encoding='latin1').load()
    except RefusedGlobalError as error:
        raise ValueError(f'{path} is refused: {error}. Only arrays and plain containers are read '
                         'from pickled files, because anything else could run code') from error
    except Exception as error:  # a damaged pickle can raise about anything
        raise ValueError(f'{path} is damaged: {error!r}') from error
    if isinstance(loaded, np.ndarray) and loaded.shape == ():
        return loaded.item()
    return loaded


def _history_method(owner: type, name: str) -> Callable:
    """Replace ``getattr`` in unpickling: return a public method of ``HistoryBuffer``, and nothing else."""
    method = vars(HistoryBuffer).get(name)
    if owner is not HistoryBuffer or name.startswith('_') or not callable(method):
        raise RefusedGlobalError(
            f'it looks up {name!r} of {owner!r}; a checkpoint may refer to public methods of HistoryBuffer only')
    return method


def checkpoint_globals() -> dict[str, Any]:
    """Return the classes and functions that checkpoints of mmengine need besides tensors and plain containers.

    mmengine saves the history of the logged scalars: an object with NumPy arrays and references to its own methods.

    Returns:
        dict[str, Any]: Classes and functions by the full name under which a pickle asks for them.
    """
    dtypes = {type(np.dtype(code)) for code in _DTYPE_CODES}
    return {
        **_numpy_functions(),
        **{f'numpy.dtypes.{dtype.__name__}': dtype for dtype in dtypes},
        'mmengine.logging.history_buffer.HistoryBuffer': HistoryBuffer,
        'builtins.getattr': _history_method,
        'builtins.slice': slice,
        **{f'builtins.{kind.__name__}': kind for kind in (set, frozenset, bytearray, complex)},
    }


class _CheckpointUnpickler(pickle._Unpickler):
    """Unpickler for checkpoints if torch cannot register further classes as safe.

    It knows what torch considers safe and what :func:`checkpoint_globals` lists. Attributes are set on instances of
    these classes only, never on the classes and functions themselves.
    """

    dispatch = dict(pickle._Unpickler.dispatch)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        own = checkpoint_globals()
        self._known = {**torch_list._get_allowed_globals(), '_codecs.encode': _latin1_bytes, **own}
        classes = [value for value in own.values() if isinstance(value, type)]
        self._built = (collections.OrderedDict, torch.Tensor, *classes)

    def find_class(self, module: str, name: str) -> Any:
        """Look a name up in the lists instead of importing it."""
        full_name = f'{_OLD_MODULES.get(module, module)}.{name}'
        if full_name not in self._known:
            raise RefusedGlobalError(f'it asks for {module}.{name}')
        return self._known[full_name]

    def load_build(self) -> None:
        """Set the state of the object below the top of the stack."""
        instance = self.stack[-2]
        if not isinstance(instance, self._built):
            raise RefusedGlobalError(f'it sets attributes of {instance!r}')
        super().load_build()

    dispatch[pickle.BUILD[0]] = load_build


def _load(file: Any, **options: Any) -> Any:
    return _CheckpointUnpickler(file, **options).load()


checkpoint_pickle_module = SimpleNamespace(
    __name__=__name__, Unpickler=_CheckpointUnpickler, load=_load, UnpicklingError=pickle.UnpicklingError)
"""What ``torch.load`` takes as ``pickle_module`` in order to read checkpoints by the lists of this module."""
