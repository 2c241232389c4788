"""Load weights that fit a model, and report those that do not."""

import ast
import hashlib
import os
from collections.abc import Mapping
from typing import Any, Optional, Union

import torch
from torch import Tensor, nn

from mmwsss.utils import first_few

from .loader import CheckpointError, read_checkpoint, weights_of
from .recognition import model_version, official_methods

__all__ = ['check_fit', 'checkpoint_hash', 'load_weights', 'weights_hash']

PathLike = Union[str, os.PathLike]


def checkpoint_hash(path: PathLike) -> str:
    """Return the SHA-256 of a checkpoint file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def weights_hash(model: nn.Module) -> str:
    """Compute the SHA-256 of a model's parameters and buffers with their names, in hexadecimal."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        if isinstance(value, Tensor):
            digest.update(f'{name} {value.dtype} {tuple(value.shape)}'.encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def load_weights(model: nn.Module, path: PathLike, config: str = 'the config') -> dict:
    """Load a checkpoint into a model, all of it or none.

    Args:
        model (nn.Module): Changed in place.
        path (str or PathLike): See :func:`~mmwsss.checkpoints.read_checkpoint`.
        config (str): Name of the model in errors.

    Returns:
        dict: The checkpoint's ``meta``, empty if it has none.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: The file cannot be read, its weights are not finite, or they belong to another model; the
            message names both sides and the first keys and shapes that differ.
    """
    checkpoint = read_checkpoint(path)
    check_fit(model, checkpoint, path, config)
    try:
        model.load_state_dict(weights_of(checkpoint), strict=True)
    except RuntimeError as error:
        raise CheckpointError(f'checkpoint {path} cannot be loaded into {config}: {error}') from error
    return checkpoint.get('meta') or {}


def check_fit(model: nn.Module, checkpoint: Mapping, path: PathLike, config: str = 'the config') -> None:
    """Check that a checkpoint holds exactly the weights of a model.

    Args:
        model (nn.Module): The model, without a wrapper.
        checkpoint (Mapping): What was read.
        path (str or PathLike): The file, for messages.
        config (str): Name of the model in errors.

    Raises:
        CheckpointError: Names or shapes differ; the message names both sides and the first ones that differ.
    """
    state = weights_of(checkpoint)
    if not state:
        raise CheckpointError(f'checkpoint {path} holds no weights; its keys are {first_few(checkpoint)}')
    misfit = _misfit(model, state, checkpoint.get('meta') or {}, path, config)
    if misfit:
        raise CheckpointError(misfit)


def _misfit(model: nn.Module, state: dict, meta: dict, path: PathLike, config: str) -> str:
    """Return how a checkpoint and a model differ; an empty string if names and shapes agree."""
    own = model.state_dict()
    missing = [key for key in own if key not in state and not key.endswith('num_batches_tracked')]
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
    return '; '.join(parts) + f'. Hint: {_hint(state, own, same_names=not missing and not unexpected)}'


def _hint(state: Mapping[str, Tensor], own: Mapping[str, Tensor], same_names: bool) -> str:
    """Return what may be wrong with weights ``state`` for a model with the weights ``own``."""
    found, expected = model_version(state), model_version(own)
    if found and expected and found != expected:
        return f'the checkpoint is of {found.name}, the config of {expected.name}: use {found.configs}'
    if same_names:
        return 'was it trained with another number of classes or another size of the model?'
    methods = official_methods(state)
    if methods:
        return ("it has the names of its authors' code: convert it with tools/model_converters/official2mmwsss.py "
                f'{" or ".join(methods)}')
    return ('take the config that the checkpoint was trained with, or convert it with '
            'tools/model_converters/official2mmwsss.py if it is a published one')


def _checkpoint_side(meta: dict) -> str:
    name = _saved_model_type(meta.get('cfg')) or 'a model of unknown type'
    return name + _classes_of(meta.get('dataset_meta'))


def _classes_of(dataset_meta: Optional[dict]) -> str:
    classes = (dataset_meta or {}).get('classes')
    return f', {len(classes)} classes with background' if classes else ''


def _saved_model_type(text: Any) -> Optional[str]:
    """Return ``model.type`` from the config text that mmengine saves, which is parsed and never run."""
    if not isinstance(text, str):
        return None
    try:
        statements = ast.parse(text).body
    except SyntaxError:
        return None
    for statement in statements:
        is_model = isinstance(statement, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == 'model' for target in statement.targets)
        for keyword in getattr(getattr(statement, 'value', None), 'keywords', ()) if is_model else ():
            if keyword.arg == 'type' and isinstance(keyword.value, ast.Constant):
                return str(keyword.value.value)
    return None
