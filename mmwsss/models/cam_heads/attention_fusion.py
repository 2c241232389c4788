"""WeakTr's adaptive attention fusion: a weight for every attention head of every layer."""

from dataclasses import dataclass
from typing import ClassVar, Optional

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..backbones.attention import BlockOutput, HeadMaps
from ..backbones.features import Observation, Reads, TokenLayout
from ..utils import at_least_single, pool_attention, pool_pseudo_heads, stack_heads
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
        for name, factor, most in (('reduction', reduction, total), ('feat_reduction', feat_reduction, head_dims)):
            if not 0 < factor <= most and (from_tokens or name == 'reduction'):
                raise ValueError(f'{name} must be above 0 and at most {most}, got {factor}')
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
        """Compute weights (B, H * L) in (0, 1) from what was pooled, (B, H * L) or (B, H * L, head_dims)."""
        if pooled.ndim == 3:
            pooled = self.feat_ffn(pooled).squeeze(2)
        return self.head_ffn(pooled).sigmoid()

    @property
    def static(self) -> bool:
        """Whether the weights are the same for every image of as many tokens."""
        return self.weights != 'adaptive' or (self.pool_source == 'attention' and self.pool == 'avg')

    @property
    def pooling(self) -> Optional[Observation]:
        """What has to be observed for :meth:`forward`; None where the weights are static."""
        if self.static:
            return None
        if self.pool_source == 'attention':
            return PooledAttention(pool=self.pool)
        return PooledTokens(source=self.pool_source, pool=self.pool)

    def static_weights(self, num_tokens: int) -> Optional[Tensor]:
        """Return the weights (1, H * L) if they are the same for every image of T tokens, else None.

        The average of an attention map is 1 / T because its rows sum to 1, so that the paper's version is static.
        """
        total = self.num_layers * self.num_heads
        if not self.static:
            return None
        if self.weights == 'mean_sum':
            return self.head_ffn[0].weight.new_full((1, total), float(self.num_layers))
        if self.weights == 'random':
            return self(self.prior)
        return self(self.head_ffn[0].weight.new_full((1, total), 1 / num_tokens))

    def check(self, layout: TokenLayout) -> None:
        """Raise a ``ValueError`` if the backbone has other layers or heads."""
        if (layout.num_layers, layout.num_heads) != (self.num_layers, self.num_heads):
            raise ValueError(f'the backbone has {layout.num_layers} layers of {layout.num_heads} heads: set num_layers '
                             f'and num_heads of WeakTrHead, which are {self.num_layers} and {self.num_heads}')


@dataclass(frozen=True)
class PooledAttention(Observation):
    """What :func:`pool_attention` makes of all maps: (B, H * L) in the order of :func:`stack_heads`."""

    reads: ClassVar[Reads] = 'heads'
    pool: str = 'avg'

    def init(self, layout: TokenLayout) -> dict:
        """Return an empty dict."""
        return {}

    def update(self, state: dict, layer: int, value: HeadMaps) -> dict:
        """Pool some heads of a layer."""
        state.setdefault(layer, []).append(pool_attention(at_least_single(value.maps), self.pool))
        return state

    def finish(self, state: dict) -> Tensor:
        """Join heads and layers."""
        return stack_heads([torch.cat(heads, dim=1) for heads in state.values()])


@dataclass(frozen=True)
class PooledTokens(Observation):
    """What :func:`pool_pseudo_heads` makes of layers' outputs: (B, H * L, d) in the order of :func:`stack_heads`.

    Attributes:
        source: ``'attn_out'``, output of the attention sublayer, or ``'block_out'``, of the whole layer.
        pool: ``'avg'`` or ``'max'``.
    """

    reads: ClassVar[Reads] = 'block'
    source: str = 'attn_out'
    pool: str = 'max'

    def init(self, layout: TokenLayout) -> tuple:
        """Return the number of heads, and no layer yet."""
        return layout.num_heads, []

    def update(self, state: tuple, layer: int, value: BlockOutput) -> tuple:
        """Pool the tokens of a layer."""
        num_heads, layers = state
        tokens = value.attention if self.source == 'attn_out' else value.tokens
        layers.append(pool_pseudo_heads(tokens, num_heads, self.pool))
        return state

    def finish(self, state: tuple) -> Tensor:
        """Join the layers."""
        return stack_heads(state[1])
