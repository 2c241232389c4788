"""Pool and stack the attention of heads."""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ['POOLS', 'at_least_single', 'pool_attention', 'pool_pseudo_heads', 'single_dtype', 'stack_heads']

POOLS = {'avg': torch.mean, 'max': torch.amax}


def pool_attention(attention: Tensor, mode: str = 'avg') -> Tensor:
    """Pool every map over all its entries, class tokens included (WeakTr, Eq. 3).

    Rows are probabilities, so that the average is ``1 / T`` whatever the image: weights learned from it are static.

    Args:
        attention: (B, H, T, T).
        mode: ``'avg'`` or ``'max'``.

    Returns:
        (B, H).
    """
    return POOLS[mode](attention, dim=(2, 3))


def pool_pseudo_heads(tokens: Tensor, num_heads: int, mode: str = 'max') -> Tensor:
    """Pool tokens, class tokens included, and split their channels between heads as WeakTr's released weights do.

    Pseudo-head h takes the channels h, h + H, h + 2H, ..., not the contiguous ones that the head h computed.

    Args:
        tokens: (B, T, D) with D a multiple of H.
        num_heads: H.
        mode: ``'avg'`` or ``'max'`` over tokens.

    Returns:
        (B, H, D / H).
    """
    return POOLS[mode](tokens, dim=1).unflatten(1, (-1, num_heads)).transpose(1, 2)


def stack_heads(layers: Sequence[Tensor]) -> Tensor:
    """Stack values of the heads of L layers, each (B, H, ...), as (B, H * L, ...): entry ``head * L + layer``."""
    return torch.stack(tuple(layers), dim=2).flatten(1, 2)


def at_least_single(maps: Tensor) -> Tensor:
    """Convert maps to single precision or better: sums over many maps lose digits in half precision."""
    return maps.to(single_dtype(maps))


def single_dtype(maps: Tensor) -> torch.dtype:
    """Return the type of maps in single precision or better."""
    return torch.promote_types(maps.dtype, torch.float32)
