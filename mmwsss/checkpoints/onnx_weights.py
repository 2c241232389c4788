"""Read the weights of a PyTorch model from the ONNX file that it was exported to."""

import importlib
import os
from pathlib import Path
from types import ModuleType
from typing import Any, Union

import torch
from torch import Tensor

from .loader import CheckpointError, check_finite

__all__ = ['is_onnx', 'read_onnx_weights']

PathLike = Union[str, os.PathLike]

_EMBEDDINGS = 'embeddings'
_POSITIONS = f'{_EMBEDDINGS}.position_embeddings'


def is_onnx(path: PathLike) -> bool:
    """Return whether the name of a file says that it is an ONNX file."""
    return Path(path).suffix == '.onnx'


def read_onnx_weights(path: PathLike) -> dict[str, Tensor]:
    """Read the weights of an exported model under the names of its modules.

    The exporter keeps most names, such as ``encoder.layer.0.norm1.weight``. It transposes the weight of a linear layer
    and gives it a number for a name, and a position embedding becomes two constants. The names of the nodes that use
    these arrays contain the path of the module, so its weight gets its name and its shape back:
    ``/encoder/layer.0/mlp/fc1/MatMul`` uses ``encoder.layer.0.mlp.fc1.weight``.

    Args:
        path (str or PathLike): The ``.onnx`` file.

    Returns:
        dict[str, Tensor]: Weights by name, in float32 or the type of the file.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: The ``onnx`` package is missing, the file is damaged, or some values are not finite.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f'checkpoint {path} does not exist')
    graph, to_array = _read_graph(path)
    arrays = {item.name: item for item in graph.initializer}
    weights: dict = {}
    extra_rows: dict = {}
    patch_rows: dict = {}
    for node in graph.node:
        module = '.'.join(node.name.strip('/').split('/')[:-1])
        for name in (name for name in node.input if name in arrays):
            if not name.startswith('onnx::'):
                weights[name] = arrays[name]
            elif node.op_type == 'MatMul':
                weights[f'{module}.weight'] = arrays[name]
            elif module.endswith(_EMBEDDINGS) and len(arrays[name].dims) == 3:
                (extra_rows if node.op_type == 'Concat' else patch_rows)[module] = arrays[name]
    named = {name: torch.from_numpy(to_array(array).copy()) for name, array in weights.items()}
    named = {name: value.t().contiguous() if weights[name].name.startswith('onnx::') else value
             for name, value in named.items()}
    for module in extra_rows.keys() & patch_rows.keys():
        parts = [torch.from_numpy(to_array(rows[module]).copy()) for rows in (extra_rows, patch_rows)]
        named[module.removesuffix(_EMBEDDINGS) + _POSITIONS] = torch.cat(parts, dim=1)
    check_finite(named, f'checkpoint {path}')
    return named


def _read_graph(path: PathLike) -> tuple[Any, Any]:
    """Return the graph of a file, and the function that turns its arrays into NumPy's."""
    onnx = _import_onnx(path)
    try:
        graph = onnx.load(os.fspath(path), load_external_data=False).graph
    except Exception as error:  # protobuf raises errors of its own, whose classes depend on its version
        raise CheckpointError(f'checkpoint {path} is damaged or is no ONNX file: {error}') from error
    if not graph.initializer:
        raise CheckpointError(f'checkpoint {path} is damaged or is no ONNX file: it holds no weights')
    return graph, onnx.numpy_helper.to_array


def _import_onnx(path: PathLike) -> ModuleType:
    try:
        return importlib.import_module('onnx')
    except ImportError as error:
        raise CheckpointError(f'the onnx package is needed to read {path}: run `python -m pip install onnx`') from error
