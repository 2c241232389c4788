"""Mixed precision on CPUs, which mmengine's ``AmpOptimWrapper`` refuses."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn

__all__ = ['CPUBFloat16OptimWrapper']


@OPTIM_WRAPPERS.register_module()
class CPUBFloat16OptimWrapper(OptimWrapper):
    """Run forward passes under bfloat16 autocast on the CPU; weights and gradients stay float32.

    bfloat16 has float32's exponent, so no loss scaling is needed. Attention takes the plain matrix-product path: on
    CPUs with bfloat16 instructions its backward pass is the faster one for short sequences.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Enter autocast for one forward pass of ``model``."""
        from torch.nn.attention import SDPBackend, sdpa_kernel  # not in the oldest torch that mmwsss runs on

        with super().optim_context(model), torch.autocast('cpu', dtype=torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
            yield
