"""Choose mixed precision on an accelerator and plain training on a CPU."""

from typing import Any, Optional, Union

import torch
from mmengine.device import get_device
from mmengine.optim import AmpOptimWrapper, OptimWrapper

from mmwsss.registry import OPTIM_WRAPPERS
from mmwsss.utils.console import notify

__all__ = ['auto_amp_optim_wrapper']


@OPTIM_WRAPPERS.register_module(name='AutoAmpOptimWrapper')
def auto_amp_optim_wrapper(loss_scale: Union[str, float, dict] = 'dynamic',
                           dtype: Optional[Union[str, torch.dtype]] = None,
                           **kwargs: Any) -> OptimWrapper:
    """Build mmengine's ``AmpOptimWrapper`` on an accelerator and its plain ``OptimWrapper`` on a CPU.

    A config with ``optim_wrapper=dict(type='AutoAmpOptimWrapper', ...)`` thus runs everywhere; mmengine's own wrapper
    refuses CPUs. A log line says which one it is. Checkpoints of either are resumed by the other.

    Args:
        loss_scale: ``'dynamic'``, a fixed scale, or the arguments of torch's ``GradScaler``.
        dtype: Type of the lower precision, for instance ``'float16'``; None takes the device's default.
        **kwargs: Of mmengine's ``OptimWrapper``: ``optimizer``, ``accumulative_counts``, ``clip_grad``.

    Returns:
        OptimWrapper: The wrapper.
    """
    device = get_device()
    if device in ('cpu', 'mps'):
        notify(f'no mixed precision on the {device}: training in float32')
        return OptimWrapper(**kwargs)
    notify(f'mixed precision on {device}: {dtype or "default type"}, loss scale {loss_scale}')
    return AmpOptimWrapper(loss_scale=loss_scale, dtype=dtype, **kwargs)
