"""Read and write ``results.json``, the file in which a tool leaves what it measured."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np

from .files import write_json

__all__ = ['RESULTS_FILE', 'read_results', 'write_results']

RESULTS_FILE = 'results.json'
"""str: Default name of the file."""


def write_results(path: Union[str, os.PathLike],
                  tool: str,
                  metrics: Mapping[str, Any],
                  config: Optional[str] = None,
                  checkpoint: Optional[str] = None,
                  indent: Optional[int] = 1,
                  **details: Any) -> Path:
    """Write the results of a tool as JSON, whole or not at all.

    In a distributed run, call it in the main process only.

    Args:
        path (str or PathLike): The file to write.
        tool (str): File name of the tool, such as ``test.py``.
        metrics (Mapping[str, Any]): A number for each metric name, such as ``seg/mIoU``. NaN and infinite values are
            written as null.
        config (str, optional): The config as given on the command line.
        checkpoint (str, optional): The checkpoint that was measured.
        indent (int, optional): Spaces per level; None writes one line.
        **details (Any): Further entries: JSON values, arrays, or containers of these.

    Returns:
        Path: ``path``.

    Raises:
        TypeError: A value cannot be written as JSON.

    Examples:
        >>> import tempfile
        >>> path = write_results(f'{tempfile.mkdtemp()}/results.json', 'test.py', {'seg/mIoU': 41.5})
        >>> read_results(path)['metrics']
        {'seg/mIoU': 41.5}
    """
    path = Path(path)
    results = {'tool': tool, 'config': config, 'checkpoint': checkpoint, 'metrics': metrics, **details}
    write_json(_to_json(results), path, indent)
    return path


def read_results(path: Union[str, os.PathLike]) -> dict[str, Any]:
    """Read a file of :func:`write_results`.

    Args:
        path (str or PathLike): The file.

    Returns:
        dict[str, Any]: With the keys ``tool``, ``config``, ``checkpoint``, ``metrics`` and the details of the tool.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file was not written by :func:`write_results`.
    """
    try:
        results = json.loads(Path(path).read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'{path} is not a valid JSON file: {error}') from error
    if not isinstance(results, dict) or not isinstance(results.get('metrics'), dict):
        raise ValueError(f"{path} is not the results file of a tool: it has no 'metrics'")
    return results


def _to_json(value: Any) -> Any:
    """Replace arrays by lists, NaN and infinite numbers by None, and paths by strings."""
    if isinstance(value, Mapping):
        return {str(key): _to_json(item) for key, item in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return _to_json(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, os.PathLike) else value
