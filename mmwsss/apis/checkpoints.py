"""Loading weights that fit, and saying what does not."""

import ast
import hashlib
import os
import pickle
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Optional, Union

import torch
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn

from mmwsss.compat import checkpoint_globals
from mmwsss.utils import first_few, weights_hash

__all__ = ['checkpoint_hash', 'load_weights', 'read_checkpoint', 'weights_hash']

PathLike = Union[str, os.PathLike]


def read_checkpoint(path: PathLike) -> dict:
    """Read a checkpoint file without running code from it.

    Args:
        path (str or PathLike): A file, or what mmengine's ``CheckpointLoader`` knows, such as
            ``mmwsss://`` and ``https://``.

    Returns:
        dict: What was saved.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged, or holds anything but tensors and plain containers.
    """
    if '://' in str(path):
        return CheckpointLoader.load_checkpoint(str(path), map_location='cpu', logger=None)
    file = Path(path).expanduser()
    if not file.is_file():
        raise FileNotFoundError(f'checkpoint {path} does not exist')
    allowed = getattr(torch.serialization, 'safe_globals', None)
    try:
        with allowed(checkpoint_globals()) if allowed else nullcontext():
            checkpoint = torch.load(file, map_location='cpu', weights_only=True)
    except (RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise ValueError(f'checkpoint {path} is damaged or holds more than weights: {error}') from error
    if not isinstance(checkpoint, Mapping):
        raise ValueError(f'checkpoint {path} holds a {type(checkpoint).__name__}, not a dict of weights')
    return dict(checkpoint)


def checkpoint_hash(path: PathLike) -> str:
    """SHA-256 of a checkpoint file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def load_weights(model: nn.Module, path: PathLike, config: str = 'the config') -> dict:
    """Load a checkpoint into a model, all of it or none.

    Args:
        model (nn.Module): Changed in place.
        path (str or PathLike): See :func:`read_checkpoint`.
        config (str): How an error calls the model's side.

    Returns:
        dict: The checkpoint's ``meta``, empty if it has none.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file cannot be read, or its weights belong to another model; the message
            names both sides and the first keys and shapes that differ.
    """
    checkpoint = read_checkpoint(path)
    meta = checkpoint.get('meta') or {}
    state = _state_dict(checkpoint)
    if not state:
        raise ValueError(f'checkpoint {path} holds no weights; its keys are {first_few(checkpoint)}')
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise ValueError(_misfit(model, state, meta, path, config) or str(error)) from error
    return meta


def _state_dict(checkpoint: dict) -> dict[str, Tensor]:
    """The weights in a checkpoint of mmengine or in a bare dict, without the prefix of a wrapper."""
    state = checkpoint.get('state_dict', checkpoint.get('model', checkpoint))
    state = {key: value for key, value in state.items() if isinstance(value, Tensor)}
    if state and all(key.startswith('module.') for key in state):
        state = {key[len('module.'):]: value for key, value in state.items()}
    return state


def _misfit(model: nn.Module, state: dict, meta: dict, path: PathLike, config: str) -> str:
    """Word how a checkpoint and a model differ; empty if they agree in keys and shapes."""
    own = model.state_dict()
    missing = [key for key in own if key not in state]
    unexpected = [key for key in state if key not in own]
    shapes = [f'{key} {tuple(state[key].shape)} against {tuple(own[key].shape)}' for key in own
              if key in state and state[key].shape != own[key].shape]
    if not (missing or unexpected or shapes):
        return ''
    parts = [f'checkpoint {path} ({_checkpoint_side(meta)}) does not fit {config} '
             f'({type(model).__name__}{_classes_of(getattr(model, "dataset_meta", None))})']
    if missing:
        parts.append(f'it lacks {len(missing)} of {len(own)} weights: {first_few(missing, 3)}')
    if unexpected:
        parts.append(f'it has {len(unexpected)} that the model does not: {first_few(unexpected, 3)}')
    if shapes:
        parts.append(f'{len(shapes)} differ in shape, checkpoint against model: {first_few(shapes, 3)}')
    same_model = not missing and not unexpected
    hint = 'was it trained with another number of classes or another size of the model?' if same_model \
        else 'take the config that the checkpoint was trained with, or convert it with ' \
             'tools/model_converters/official2mmwsss.py if it is a published one'
    return '; '.join(parts) + f'. Hint: {hint}'


def _checkpoint_side(meta: dict) -> str:
    name = _saved_model_type(meta.get('cfg')) or 'a model of unknown type'
    return name + _classes_of(meta.get('dataset_meta'))


def _classes_of(dataset_meta: Optional[dict]) -> str:
    classes = (dataset_meta or {}).get('classes')
    return f', {len(classes)} classes with background' if classes else ''


def _saved_model_type(text: Any) -> Optional[str]:
    """``model.type`` of the config text that mmengine saves, by reading its syntax, never running it."""
    if not isinstance(text, str):
        return None
    try:
        statements = ast.parse(text).body
    except SyntaxError:
        return None
    for statement in statements:
        is_model = isinstance(statement, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == 'model' for target in statement.targets)
        for keyword in getattr(statement.value, 'keywords', ()) if is_model else ():
            if keyword.arg == 'type' and isinstance(keyword.value, ast.Constant):
                return str(keyword.value.value)
    return None
