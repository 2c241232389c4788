"""Run parts of a network in a lower precision."""

from contextlib import AbstractContextManager, nullcontext
from typing import Optional, Union

import torch

__all__ = ['lower_precision', 'uses_lower_precision']


def lower_precision(device: Union[str, torch.device], dtype: Optional[str]) -> AbstractContextManager:
    """Return a context in which matrix products and convolutions are computed in ``dtype``, as torch's autocast does.

    Sums, normalizations and the residual stream of a transformer stay in float32. Where autocast is on already, as in
    mixed-precision training, nothing changes: its copies of the weights, which may carry a gradient, are shared by
    nested contexts and would be replaced.

    Args:
        device: Where the network is.
        dtype: ``'bfloat16'``, ``'float16'``, or None for no change.
    """
    kind = torch.device(device).type
    if dtype is None or uses_lower_precision(kind):
        return nullcontext()
    return torch.autocast(kind, getattr(torch, dtype))


def uses_lower_precision(device: Union[str, torch.device]) -> bool:
    """Return whether autocast is on for a device."""
    kind = torch.device(device).type
    if hasattr(torch, 'get_autocast_dtype'):
        return torch.is_autocast_enabled(kind)
    return torch.is_autocast_cpu_enabled() if kind == 'cpu' else torch.is_autocast_enabled()  # before PyTorch 2.4
