"""Attention heads one by one: pooled, put in order, and fused with a weight for each."""

from collections.abc import Sequence
from typing import Optional

import torch
from torch import Tensor

__all__ = ['POOLS', 'WeightedAttention', 'at_least_single', 'pool_attention', 'pool_pseudo_heads', 'stack_heads']

POOLS = {'avg': torch.mean, 'max': torch.amax}


def pool_attention(attention: Tensor, mode: str = 'avg') -> Tensor:
    """Pool every map over all its entries, class tokens included (WeakTr, Eq. 3).

    Rows are probabilities, so that the average is ``1 / T`` whatever the image: weights learnt from it are static.

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
    """Stack what L layers have of their heads, each (B, H, ...), as (B, H * L, ...): entry ``head * L + layer``."""
    return torch.stack(tuple(layers), dim=2).flatten(1, 2)


def at_least_single(maps: Tensor) -> Tensor:
    """Give maps in single precision or better: sums over many maps lose digits in half precision."""
    return maps.to(torch.promote_types(maps.dtype, torch.float32))


class WeightedAttention:
    """Fuses all maps with a weight each while the encoder runs; an ``attention_fn`` of :class:`AttentionViT`.

    A single (B, T, T) map is kept: the sum over heads and layers of weight times attention, divided by their number and
    not by the sum of weights (WeakTr, Eq. 4 and 5).

    Args:
        weights: (B or 1, H * L) in the order of :func:`stack_heads`.
        num_layers: L.

    Attributes:
        fused: (B, T, T), or None as long as no layer was seen.
    """

    def __init__(self, weights: Tensor, num_layers: int) -> None:
        self._weights = weights.detach().unflatten(1, (-1, num_layers)) / weights.shape[1]
        self._next_head = 0
        self.fused: Optional[Tensor] = None

    def __call__(self, layer: int, attention: Tensor) -> None:
        """Add attention (B, H, T, T) of a layer."""
        maps = at_least_single(attention.detach())
        weights = self._weights[:, None, :, layer].to(maps).expand(len(maps), -1, -1)
        with torch.autocast(maps.device.type, enabled=False):
            part = torch.bmm(weights, maps.flatten(2)).view_as(maps[:, 0])
        self.fused = part if self.fused is None else self.fused.add_(part)

    def add_head(self, layer: int, attention: Tensor, num_heads: int) -> None:
        """Add attention (B, T, T) of the next head of a layer; heads come in order."""
        weight = self._weights[:, self._next_head, layer].to(attention)[:, None, None]
        self._next_head = (self._next_head + 1) % num_heads
        self.fused = weight * attention if self.fused is None else self.fused.addcmul_(attention, weight)
