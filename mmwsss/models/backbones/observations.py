"""Observations that several heads and auxiliaries share; a method's own stand with its head."""

from dataclasses import dataclass
from typing import ClassVar, Literal, Optional

import torch
from torch import Tensor

from ..utils import at_least_single, single_dtype
from .attention import BlockOutput, HeadMaps, QueryKey, ScoreFactors
from .features import Observation, Reads, TokenLayout

__all__ = ['ClassAttentionSum', 'ClassTokens', 'PatchAttention', 'PatchAttentionSum', 'PatchScores', 'QueryKeys']


@dataclass(frozen=True)
class ClassAttentionSum(Observation):
    """Attention of class tokens to patches, averaged over heads and added up over layers: (B, M or P, N).

    Rows are queries; they are not normalized again over the patches.

    Attributes:
        classes: P class tokens; None for all M.
    """

    reads: ClassVar[Reads] = 'heads'
    classes: Optional[tuple[int, ...]] = None

    def init(self, layout: TokenLayout) -> tuple:
        """Return the layout, and no sum yet."""
        return layout, None

    def update(self, state: tuple, layer: int, value: HeadMaps) -> tuple:
        """Add the rows of the class tokens of some heads."""
        layout, total = state
        start = layout.num_class_tokens
        rows = slice(start) if self.classes is None else list(self.classes)
        return layout, _add_mean(total, value.maps[:, :, rows, start:], layout.num_heads)

    def finish(self, state: tuple) -> Tensor:
        """Return the sum."""
        return state[1]


@dataclass(frozen=True)
class PatchAttentionSum(Observation):
    """Attention among patches, averaged over heads and added up over layers: (B, N, N), queries in rows.

    Rows are not normalized again over the patches.
    """

    reads: ClassVar[Reads] = 'heads'

    def init(self, layout: TokenLayout) -> tuple:
        """Return the layout, and no sum yet."""
        return layout, None

    def update(self, state: tuple, layer: int, value: HeadMaps) -> tuple:
        """Add the patches' part of some heads."""
        layout, total = state
        start = layout.num_class_tokens
        return layout, _add_mean(total, value.maps[:, :, start:, start:], layout.num_heads)

    def finish(self, state: tuple) -> Tensor:
        """Return the sum."""
        return state[1]


def _add_mean(total: Optional[Tensor], heads: Tensor, num_heads: int) -> Tensor:
    """Add maps (B, n, ...) of all heads or of one, divided by the number of heads, to a sum (B, ...).

    The sum has single precision or better, whatever that of the maps.
    """
    if heads.shape[1] == num_heads:
        part = heads.mean(dim=1, dtype=single_dtype(heads))
        return part if total is None else total + part if part.requires_grad else total.add_(part)
    if total is None:
        return at_least_single(heads[:, 0]) * (1 / num_heads)
    return total.add_(heads[:, 0], alpha=1 / num_heads)


@dataclass(frozen=True)
class PatchAttention(Observation):
    """Attention among patches of each layer, averaged over heads: (B, L, N, N), queries in rows.

    This keeps a map of every observed layer, for what needs each of them (AReAM); a sum is much smaller.

    Attributes:
        keys: ``'all'``: probabilities over all tokens, so that rows sum to less than 1; ``'patches'``: over the patches
            alone.
    """

    reads: ClassVar[Reads] = 'heads'
    keys: Literal['all', 'patches'] = 'all'

    def init(self, layout: TokenLayout) -> tuple:
        """Return the layout, and no map yet."""
        return layout, {}

    def update(self, state: tuple, layer: int, value: HeadMaps) -> tuple:
        """Add some heads of a layer."""
        layout, means = state
        part = value.maps[..., layout.num_class_tokens:, layout.num_class_tokens:]
        if self.keys == 'patches':
            # Probabilities of all keys divided by their sum over some are the softmax over those.
            part = at_least_single(part)
            part = part / part.sum(dim=-1, keepdim=True)
        means[layer] = _add_mean(means.get(layer), part, layout.num_heads)
        return state

    def finish(self, state: tuple) -> Tensor:
        """Stack the layers."""
        return torch.stack(list(state[1].values()), dim=1)


@dataclass(frozen=True)
class PatchScores(Observation):
    """Scores among patches before softmax, averaged over heads: a :class:`ScoreFactors` of N tokens per layer."""

    reads: ClassVar[Reads] = 'scores'

    def init(self, layout: TokenLayout) -> tuple:
        """Return where the patches start, and no layer yet."""
        return layout.num_class_tokens, []

    def update(self, state: tuple, layer: int, value: ScoreFactors) -> tuple:
        """Keep the factors of a layer."""
        start, factors = state
        factors.append(value.from_token(start))
        return state

    def finish(self, state: tuple) -> list[ScoreFactors]:
        """Return the factors of all observed layers, in order."""
        return state[1]


@dataclass(frozen=True)
class QueryKeys(Observation):
    """Queries and keys of all tokens, a :class:`QueryKey` per layer, from which attention can be computed later."""

    reads: ClassVar[Reads] = 'query_key'

    def init(self, layout: TokenLayout) -> list:
        """Return an empty list."""
        return []

    def update(self, state: list, layer: int, value: QueryKey) -> list[QueryKey]:
        """Keep those of a layer, without the values that share memory with the keys."""
        return [*state, QueryKey(value.query.contiguous(), value.key.contiguous())]


@dataclass(frozen=True)
class ClassTokens(Observation):
    """Class tokens of the residual stream after each layer: (L, B, M, D)."""

    reads: ClassVar[Reads] = 'block'

    def init(self, layout: TokenLayout) -> tuple:
        """Return the number of class tokens, and no layer yet."""
        return layout.num_class_tokens, []

    def update(self, state: tuple, layer: int, value: BlockOutput) -> tuple:
        """Keep the class tokens of a layer."""
        count, layers = state
        layers.append(value.tokens[:, :count])
        return state

    def finish(self, state: tuple) -> Tensor:
        """Stack the layers."""
        return torch.stack(state[1])
