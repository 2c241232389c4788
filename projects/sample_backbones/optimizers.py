"""Optimizers of the pretraining: Muon beside AdamW, and bfloat16 on CPUs."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Optional

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS, OPTIMIZERS
from torch import Tensor, nn
from torch.optim import Optimizer

try:
    from torch.nn.attention import SDPBackend, sdpa_kernel
except ImportError:  # torch 2.1
    sdpa_kernel = None

__all__ = ['CPUBFloat16OptimWrapper', 'MuonAdamW', 'orthogonalize']


def orthogonalize(matrix: Tensor, steps: int = 5) -> Tensor:
    """Push the singular values of a matrix toward 1 with quintic Newton-Schulz iterations.

    Args:
        matrix: (M, N), of any scale.
        steps: Number of iterations; with 5, singular values end in about [0.7, 1.2].

    Returns:
        bfloat16 tensor (M, N).
    """
    wide = matrix.shape[0] <= matrix.shape[1]
    x = (matrix if wide else matrix.T).bfloat16()
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * (gram @ gram)) @ x
    return x if wide else x.T


@OPTIMIZERS.register_module()
class MuonAdamW(Optimizer):
    """Train with Muon and AdamW, which needs fewer iterations than AdamW alone.

    Parameters with two dimensions of at least ``min_dim`` each follow Muon (momentum, then orthogonalized; scaled so
    that its update has AdamW's usual size, which lets both share one learning rate); all others follow AdamW.

    Args:
        params: Parameters or groups.
        lr: Learning rate.
        momentum: Muon's momentum (Nesterov).
        betas: AdamW's decay rates.
        eps: AdamW's term for stability.
        weight_decay: Decoupled weight decay of both.
        min_dim: Least size of both dimensions for Muon.
        convolutions: Take convolutions, too, as matrices: (output channels, all else).

    Raises:
        ValueError: ``lr`` is negative.
    """

    def __init__(self,
                 params: Iterable,
                 lr: float = 1e-3,
                 momentum: float = 0.95,
                 betas: tuple[float, float] = (0.9, 0.98),
                 eps: float = 1e-8,
                 weight_decay: float = 0.05,
                 min_dim: int = 128,
                 convolutions: bool = False) -> None:
        if lr < 0:
            raise ValueError(f'lr must not be negative, got {lr}')
        super().__init__(params, dict(lr=lr, momentum=momentum, betas=betas, eps=eps, weight_decay=weight_decay,
                                      min_dim=min_dim, convolutions=convolutions))

    @torch.no_grad()
    def step(self, closure: Optional[Callable] = None) -> Optional[Tensor]:
        """Update all parameters that have a gradient; return the closure's loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for param in group['params']:
                if param.grad is None:
                    continue
                param.mul_(1 - group['lr'] * group['weight_decay'])
                update = self._muon(param, group) if self._is_large(param, group) else self._adam(param, group)
                param.add_(update, alpha=-group['lr'])
        return loss

    @staticmethod
    def _is_large(param: Tensor, group: dict) -> bool:
        matrix = param.ndim == 2 or param.ndim == 4 and group['convolutions']
        return matrix and min(len(param), param[0].numel()) >= group['min_dim']

    def _muon(self, param: Tensor, group: dict) -> Tensor:
        state = self.state[param]
        if not state:
            state['momentum'] = torch.zeros_like(param)
        state['momentum'].lerp_(param.grad, 1 - group['momentum'])
        update = param.grad.lerp(state['momentum'], group['momentum'])
        update = orthogonalize(update.flatten(1)).to(param.dtype) * (0.2 * max(len(param), param[0].numel())**0.5)
        return update.view_as(param)

    def _adam(self, param: Tensor, group: dict) -> Tensor:
        state = self.state[param]
        if not state:
            state.update(step=0, mean=torch.zeros_like(param), square=torch.zeros_like(param))
        state['step'] += 1
        first, second = group['betas']
        state['mean'].lerp_(param.grad, 1 - first)
        state['square'].lerp_(param.grad.square(), 1 - second)
        mean = state['mean'] / (1 - first**state['step'])
        return mean / ((state['square'] / (1 - second**state['step'])).sqrt() + group['eps'])


@OPTIM_WRAPPERS.register_module()
class CPUBFloat16OptimWrapper(OptimWrapper):
    """Run forward passes under bfloat16 autocast on the CPU; weights and gradients stay float32.

    bfloat16 has float32's exponent, so no loss scaling is needed. Attention takes the plain matrix-product path: on
    CPUs with bfloat16 instructions its backward pass is the faster one for short sequences.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run one forward pass of ``model`` under autocast."""
        with super().optim_context(model), torch.autocast('cpu', dtype=torch.bfloat16), _plain_attention():
            yield


def _plain_attention() -> AbstractContextManager:
    """Return a context in which attention is computed by plain matrix products, in every release of torch."""
    if sdpa_kernel is not None:
        return sdpa_kernel(SDPBackend.MATH)
    return torch.backends.cuda.sdp_kernel(enable_flash=False, enable_math=True, enable_mem_efficient=False)
