"""WeakTr's adaptive attention fusion: a weight for every attention head of every layer."""

from typing import Optional

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..backbones.attention import LayerTrace
from ..utils import pool_attention, pool_pseudo_heads
from ..utils.head_weights import POOLS

__all__ = ['AdaptiveAttentionFusion']

WEIGHTS = ('adaptive', 'random', 'mean_sum')
POOL_SOURCES = ('attention', 'attn_out', 'block_out')


class AdaptiveAttentionFusion(BaseModule):
    """Weighs all attention maps of an encoder by what is pooled of each (WeakTr, Eq. 3 and Table 4, 8 and 9).

    The published checkpoints belong to three versions; the first is the paper's:

    ======= =============== ========= ============= ====================
    version ``pool_source`` ``pool``  ``reduction`` ``feat_reduction``
    ======= =============== ========= ============= ====================
    V1      attention       avg       4             not used
    V2      block_out       max       8             8
    V3      attn_out        max       8             8
    ======= =============== ========= ============= ====================

    Args:
        num_layers: L.
        num_heads: H, of every layer.
        head_dims: Channels of a head.
        weights: ``'adaptive'``; ``'random'``: numbers drawn once from [0, 1) take the place of what is pooled;
            ``'mean_sum'``: heads are averaged and layers added up. The network of ``'adaptive'`` is then frozen and
            unused; its checkpoints load.
        pool_source: What is pooled: the ``'attention'`` maps; the output of the attention sublayer (``'attn_out'``) or
            of the whole layer (``'block_out'``), whose channels :func:`pool_pseudo_heads` splits between heads.
        pool: ``'avg'`` or ``'max'``.
        reduction: H * L divided by this is the width of the network that lets the heads interact; 1 / 2 doubles it.
        feat_reduction: ``head_dims`` divided by this is the width of the linear maps that turn the features of a head
            into one number.

    Raises:
        ValueError: On an unknown choice or a reduction that leaves no channel.
    """

    def __init__(self,
                 num_layers: int,
                 num_heads: int,
                 head_dims: int,
                 weights: str = 'adaptive',
                 pool_source: str = 'attention',
                 pool: str = 'avg',
                 reduction: float = 4,
                 feat_reduction: float = 8) -> None:
        super().__init__()
        for name, value, allowed in (('weights', weights, WEIGHTS), ('pool_source', pool_source, POOL_SOURCES),
                                     ('pool', pool, tuple(POOLS))):
            if value not in allowed:
                raise ValueError(f'{name} must be one of {allowed}, got {value!r}')
        total = num_layers * num_heads
        from_tokens = weights != 'random' and pool_source != 'attention'
        for name, value, most in (('reduction', reduction, total), ('feat_reduction', feat_reduction, head_dims)):
            if not 0 < value <= most and (from_tokens or name == 'reduction'):
                raise ValueError(f'{name} must be above 0 and at most {most}, got {value}')
        hidden = int(total / reduction)
        self.num_layers, self.num_heads = num_layers, num_heads
        self.weights, self.pool_source, self.pool = weights, pool_source, pool
        self.head_ffn = nn.Sequential(
            nn.Linear(total, hidden, bias=False), nn.ReLU(), nn.Linear(hidden, total, bias=False))
        if weights == 'random':
            self.register_buffer('prior', torch.rand(1, total))
        elif from_tokens:
            # No activation between them, as in the released code.
            inner = int(head_dims / feat_reduction)
            self.feat_ffn = nn.Sequential(nn.Linear(head_dims, inner), nn.Linear(inner, 1))
        if weights == 'mean_sum':
            self.requires_grad_(False)

    def forward(self, pooled: Tensor) -> Tensor:
        """Turn what was pooled, (B, H * L) or (B, H * L, head_dims), into weights (B, H * L) in (0, 1)."""
        if pooled.ndim == 3:
            pooled = self.feat_ffn(pooled).squeeze(2)
        return self.head_ffn(pooled).sigmoid()

    def pool_layer(self, trace: LayerTrace, attention: Optional[Tensor] = None) -> Tensor:
        """Pool a layer: (B, H) of its attention (B, H, T, T), computed unless given, or (B, H, head_dims) of tokens."""
        if self.pool_source == 'attention':
            return pool_attention(trace.attention() if attention is None else attention, self.pool)
        tokens = trace.update if self.pool_source == 'attn_out' else trace.tokens
        return pool_pseudo_heads(tokens, self.num_heads, self.pool)

    def static_weights(self, num_tokens: int) -> Optional[Tensor]:
        """Give the weights (1, H * L) if they are the same for every image of T tokens, else None.

        The average of an attention map is 1 / T because its rows sum to 1, so that the paper's version is static.
        """
        total = self.num_layers * self.num_heads
        if self.weights == 'mean_sum':
            return torch.full((1, total), float(self.num_layers))
        if self.weights == 'random':
            return self(self.prior)
        if self.pool_source == 'attention' and self.pool == 'avg':
            return self(self.head_ffn[0].weight.new_full((1, total), 1 / num_tokens))
        return None
