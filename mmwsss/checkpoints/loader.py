"""Read and write checkpoint files without running code from them."""

import json
import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Optional, Union

import torch
from mmengine.runner import CheckpointLoader
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from mmwsss.utils.errors import UserError
from mmwsss.utils.files import atomic_path

from .restricted_pickle import RefusedGlobalError, checkpoint_globals, checkpoint_pickle_module

__all__ = ['CheckpointError', 'UNSAFE_VARIABLE', 'check_finite', 'read_checkpoint', 'read_checkpoint_file',
           'weights_of', 'write_checkpoint']

PathLike = Union[str, os.PathLike]
MapLocation = Union[str, torch.device, Callable, dict, None]
UNSAFE_VARIABLE = 'MMWSSS_UNSAFE_LOAD'
"""str: Environment variable; set to 1, it lets files that would run code do so."""
_META = 'mmwsss_meta'
_REFUSED_NAMES = re.compile(r'GLOBAL ([\w.]+)|unrecognized function (.+)|unsupported class (.+)')


class CheckpointError(UserError):
    """A checkpoint file cannot be used; the message names the file and the remedy."""


def read_checkpoint(path: PathLike, map_location: MapLocation = 'cpu') -> dict:
    """Read a checkpoint without running code from it.

    Args:
        path (str or PathLike): A file, ``.safetensors`` or one of PyTorch, or anything else that mmengine's
            ``CheckpointLoader`` knows, such as ``mmwsss://`` and ``https://``.
        map_location (str or torch.device): Device of the tensors, as in ``torch.load``.

    Returns:
        dict: What was saved: weights by name, or a dictionary with them under ``state_dict``.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: The file is damaged, is no checkpoint, would run code, or holds weights that are not finite.
    """
    return CheckpointLoader.load_checkpoint(os.fspath(path), map_location, logger='silent')


def read_checkpoint_file(path: PathLike, map_location: MapLocation = 'cpu', source: Optional[str] = None) -> dict:
    """Read a checkpoint from a file on this machine; see :func:`read_checkpoint`.

    Args:
        path (str or PathLike): The file.
        map_location (str or torch.device): Device of the tensors.
        source (str, optional): Where the file was downloaded from, for messages.

    Returns:
        dict: What was saved.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: See :func:`read_checkpoint`.
    """
    file = Path(path).expanduser()
    name = f'checkpoint {path}' if source is None else f'checkpoint {source} (downloaded to {path}; remove that file ' \
                                                       'to download it again)'
    _check_file(file, name)
    if file.suffix == '.safetensors':
        checkpoint = _read_safetensors(file, map_location, name)
    else:
        checkpoint = _read_pickled(file, map_location, name)
    if not isinstance(checkpoint, Mapping):
        raise CheckpointError(f'{name} holds a {type(checkpoint).__name__}, not a dictionary of weights')
    meta = checkpoint.get('meta')
    if isinstance(meta, dict):
        meta.pop('config', None)  # mmengine runs this text as Python when it resumes
    check_finite(weights_of(checkpoint), name)
    return checkpoint


def weights_of(checkpoint: Mapping) -> dict[str, Tensor]:
    """Return the weights in a checkpoint of mmengine or in a bare dictionary.

    Args:
        checkpoint (Mapping): Weights by name, or a dictionary with them under ``state_dict``, ``model`` or ``module``.

    Returns:
        dict[str, Tensor]: Weights by name, without the prefix ``module.`` of a model wrapper.
    """
    state = next((checkpoint[name] for name in ('state_dict', 'model', 'module') if name in checkpoint), checkpoint)
    state = state if isinstance(state, Mapping) else {}
    state = {key: value for key, value in state.items() if isinstance(value, Tensor)}
    if state and all(str(key).startswith('module.') for key in state):
        state = {key[len('module.'):]: value for key, value in state.items()}
    return state


def write_checkpoint(path: PathLike, state_dict: Mapping[str, Tensor], meta: Mapping[str, str]) -> None:
    """Write weights and meta information, whole or not at all.

    Args:
        path (str or PathLike): The file; the suffix ``.safetensors`` chooses that format, any other PyTorch's.
        state_dict (Mapping[str, Tensor]): Weights by name.
        meta (Mapping[str, str]): Texts by name.
    """
    state = {key: value.detach().cpu().contiguous().clone() for key, value in state_dict.items()}
    with atomic_path(path) as tmp:
        if Path(path).suffix == '.safetensors':
            save_file(state, tmp, metadata={_META: json.dumps(dict(meta))})
        else:
            with open(tmp, 'wb') as stream:  # given a path, torch would write its random name into the file
                torch.save(dict(meta=dict(meta), state_dict=state), stream)


def _check_file(file: Path, name: str) -> None:
    """Refuse a path that is missing or is clearly not a checkpoint."""
    if not file.exists():
        raise FileNotFoundError(f'{name} does not exist')
    if not file.is_file():
        raise CheckpointError(f'{name} is a folder, not a file: name a checkpoint in it' if file.is_dir()
                              else f'{name} is not a regular file')
    with open(file, 'rb') as stream:
        head = stream.read(512)
    problem = None
    if not head:
        problem = 'is empty'
    elif head.lstrip()[:1] == b'<':
        problem = 'is a web page, not a checkpoint: download the file itself'
    elif head.startswith(b'version https://git-lfs'):
        problem = 'is a pointer of Git LFS, not the file itself: run `git lfs pull`'
    elif head.startswith(b'PK') and not zipfile.is_zipfile(file):
        problem = 'is damaged: its end is missing. Copy or download it again'
    elif head.startswith(b'PK') and _is_torchscript(file):
        problem = 'is a TorchScript program, which would be run: save the state_dict of the model instead'
    if problem:
        raise CheckpointError(f'{name} {problem}')


def _is_torchscript(file: Path) -> bool:
    with zipfile.ZipFile(file) as archive:
        return any(entry.rpartition('/')[2] == 'constants.pkl' for entry in archive.namelist())


def _read_safetensors(file: Path, map_location: MapLocation, name: str) -> dict:
    device = str(map_location) if isinstance(map_location, (str, torch.device)) else 'cpu'
    try:
        with safe_open(file, framework='pt') as opened:
            metadata = opened.metadata() or {}
        meta = json.loads(metadata[_META]) if _META in metadata else metadata
        return dict(meta=meta, state_dict=load_file(file, device=device))
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(f'{name} is damaged: {error}') from error


def _read_pickled(file: Path, map_location: MapLocation, name: str) -> Any:
    """Read a file written by ``torch.save``."""
    try:
        return _load_safely(file, map_location)
    except pickle.UnpicklingError as error:
        if os.environ.get(UNSAFE_VARIABLE) == '1':
            warnings.warn(f'{name} is loaded although it may run code, because {UNSAFE_VARIABLE} is 1', stacklevel=2)
            return torch.load(file, map_location=map_location, weights_only=False)
        raise CheckpointError(_refusal(error, name)) from error
    except (RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError, OSError) as error:
        if isinstance(error, torch.cuda.OutOfMemoryError):
            raise
        reason = ' '.join(str(error).split())[:200]
        raise CheckpointError(f'{name} is damaged or is no checkpoint ({type(error).__name__}: {reason})') from error


def _load_safely(file: Path, map_location: MapLocation) -> Any:
    """Load with only the classes of :func:`checkpoint_globals` and those that torch itself considers safe."""
    if _torch_takes_names():
        with torch.serialization.safe_globals([(value, name) for name, value in checkpoint_globals().items()]):
            return torch.load(file, map_location=map_location, weights_only=True)
    return torch.load(file, map_location=map_location, weights_only=False, pickle_module=checkpoint_pickle_module)


def _torch_takes_names() -> bool:
    """Return whether further safe classes can be registered with torch by name, as in 2.6 and newer."""
    numbers = re.match(r'(\d+)\.(\d+)', torch.__version__)
    return hasattr(torch.serialization, 'safe_globals') and tuple(map(int, numbers.groups())) >= (2, 6)


def _refusal(error: pickle.UnpicklingError, name: str) -> str:
    """Return the message for a file that refers to a class or function that is not on the list."""
    text = str(error)
    found = _REFUSED_NAMES.search(text)
    own_reason = re.search(r'it looks up .*', text)  # torch passes it on in a text of its own
    if isinstance(error, RefusedGlobalError):
        reason = text
    elif own_reason:
        reason = own_reason[0]
    elif found:
        reason = f'it asks for {next(filter(None, found.groups()))}'
    else:
        reason = text.partition('WeightsUnpickler error:')[2].strip().split('\n')[0] or text.split('\n')[0]
        return f'{name} is damaged or holds more than weights: {reason}'
    return (f'{name} is refused: {reason}, which could run code, and no checkpoint needs it. If you trust the file, '
            f'save its state_dict alone, or set {UNSAFE_VARIABLE}=1 to load it as it is')


def check_finite(weights: Mapping[str, Tensor], name: str) -> None:
    """Refuse weights with NaN or infinite values; masks of attention may hold minus infinity.

    Args:
        weights (Mapping[str, Tensor]): Weights by name.
        name (str): What the message calls the checkpoint.

    Raises:
        CheckpointError: Some values are not finite; the message names the first such weight.
    """
    for key, value in weights.items():
        if not (value.is_floating_point() or value.is_complex()) or value.is_meta or value.layout != torch.strided:
            continue
        value = value.float() if value.dtype.itemsize == 1 else value
        if value.isfinite().all():
            continue
        if str(key).endswith('mask') and not (value.isnan() | (value == float('inf'))).any():
            continue
        count = int((~value.isfinite()).sum())
        raise CheckpointError(f'{name} has weights that are not finite: {key} has {count} NaN or infinite values of '
                              f'{value.numel()}. The run that wrote it diverged: take an earlier checkpoint')
