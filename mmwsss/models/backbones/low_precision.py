"""Lower precision in the backbone of a model, where maps and masks are made."""

import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Optional, Union

import torch
from torch import Tensor, nn

from mmwsss.utils import closest
from mmwsss.utils.console import notify
from mmwsss.utils.errors import UserError

from .features import Features

__all__ = ['PRECISIONS', 'backbone_precision', 'check_precision']

PRECISIONS = {'bf16': torch.bfloat16, 'fp16': torch.float16}
"""dict: What ``amp`` names."""

_ENTRIES = ('forward', 'encode')  # Of a backbone: what mmseg calls, and what ``extract_features`` calls.


def check_precision(amp: Optional[str], place: Union[str, torch.device, nn.Module, None] = None) -> None:
    """Check before a run that a precision exists and that a device has it; log if it gains nothing there.

    Args:
        amp: ``'bf16'``, ``'fp16'`` or None for float32.
        place: The device, or a model on it; None to check the name alone.

    Raises:
        UserError: There is no such precision, or the device does not have it. A CPU is refused ``'fp16'``: torch
            computes it there, but tens of times slower than float32.
    """
    device = _device_of(place) if isinstance(place, nn.Module) else place
    _refuse(amp, device)
    if amp == 'bf16' and device is not None and torch.device(device).type == 'cpu' and not _cpu_has_bf16():
        notify('this CPU has no instructions for bf16: it is slower here than float32')


def _refuse(amp: Optional[str], device: Union[str, torch.device, None]) -> None:
    """Raise the errors of :func:`check_precision`."""
    if amp is not None and amp not in PRECISIONS:
        raise UserError(f'amp must be one of {", ".join(PRECISIONS)}, got {amp!r}{closest(str(amp), PRECISIONS)}')
    if amp is None or device is None:
        return
    kind = torch.device(device)
    if kind.type == 'cpu' and amp == 'fp16':
        raise UserError('amp fp16 takes a GPU: a CPU computes it many times slower than float32. Use bf16, or leave '
                        'amp out')
    if kind.type == 'cuda' and amp == 'bf16' and torch.cuda.get_device_capability(kind) < (8, 0):
        raise UserError(f'{torch.cuda.get_device_name(kind)} does not compute in bf16: use amp fp16')


@contextmanager
def backbone_precision(model: nn.Module, amp: Optional[str]) -> Iterator[None]:
    """Let the backbone of a model compute in a lower precision in the block; all that follows it stays in float32.

    In the backbone, matrix products and convolutions run in the lower precision, as torch's autocast chooses them.
    What it gives is float32 again: sums of attention over heads and layers, heads and decoders, the fusion of views,
    normalization, softmax and argmax do not lose digits. It works with every model that has a ``backbone``, those of
    mmseg included.

    Args:
        model: In eval mode.
        amp: ``'bf16'``, ``'fp16'``, or None to change nothing.

    Yields:
        None

    Raises:
        UserError: See :func:`check_precision`; or the model has no backbone.
    """
    if amp is None:
        yield
        return
    backbone = getattr(model, 'backbone', None)
    if backbone is None:
        raise UserError(f'amp {amp} lowers the precision of a backbone, and {type(model).__name__} has none')
    device = _device_of(model)
    _refuse(amp, device)
    former = {name: vars(backbone).get(name) for name in _ENTRIES if hasattr(backbone, name)}
    for name in former:
        setattr(backbone, name, partial(_run, getattr(backbone, name), device.type, PRECISIONS[amp]))
    try:
        # Weights are cast once for the block: torch keeps the copies until the outermost autocast ends.
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        for name, function in former.items():
            delattr(backbone, name)
            if function is not None:
                setattr(backbone, name, function)


def _device_of(model: nn.Module) -> torch.device:
    """Return the device of a model's first parameter; the CPU if it has none."""
    return next((parameter.device for parameter in model.parameters()), torch.device('cpu'))


def _run(function: Callable, kind: str, dtype: torch.dtype, *args: Any, **kwargs: Any) -> Any:
    """Call a function in a lower precision and return its result in float32."""
    with torch.autocast(kind, dtype):
        found = function(*args, **kwargs)
    return found.map(_single) if isinstance(found, Features) else _single(found)


def _single(value: Any) -> Any:
    """Convert tensors of lower precision, alone or in tuples, lists and dictionaries, to float32."""
    if isinstance(value, Tensor):
        return value.float() if value.dtype in PRECISIONS.values() else value
    if isinstance(value, dict):
        return {key: _single(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, '_fields'):
        return type(value)(*map(_single, value))
    return type(value)(map(_single, value)) if isinstance(value, (tuple, list)) else value


def _cpu_has_bf16() -> bool:
    """Return whether this CPU multiplies in bf16; True where that is not known."""
    found: dict[str, bool] = getattr(torch.cpu, 'get_capabilities', dict)()
    names = ('avx512_bf16', 'amx_bf16')
    return platform.machine().lower() not in ('x86_64', 'amd64') or not found or any(map(found.get, names))
