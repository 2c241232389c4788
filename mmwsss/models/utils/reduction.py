"""Divisors for means over all processes of a distributed run."""

from mmengine.dist import all_reduce, get_world_size
from torch import Tensor

__all__ = ['global_divisor']


def global_divisor(divisor: Tensor, offset: float = 0.) -> Tensor:
    """Return the divisor that makes the mean over processes a mean over the global batch.

    A sum S_r over a process's own items, divided by ``(sum_r n_r + offset) / W`` with W processes, has the mean
    ``sum_r S_r / (sum_r n_r + offset)``, and so has its gradient, which distributed training averages.

    Args:
        divisor: Number n_r of a process's items; scalar, no gradient.
        offset: Added to the global number.

    Returns:
        Scalar; ``divisor + offset`` in a run of one process.
    """
    total = divisor.detach().clone()
    all_reduce(total, op='sum')
    return (total + offset) / get_world_size()
