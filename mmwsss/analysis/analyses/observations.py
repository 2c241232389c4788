"""Observations that reduce the tokens or the attention of each layer by a function, so that no map is kept."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Optional

import torch
from torch import Tensor

from mmwsss.models import Observation, TokenLayout
from mmwsss.models.backbones.attention import HeadMaps
from mmwsss.models.backbones.features import Reads

__all__ = ['ClassHeadRows', 'LayerHeadAttention', 'LayerPatchAttention', 'LayerTokens', 'PointHeadRows', 'patch_at']


@dataclass(frozen=True)
class _ByLayer(Observation):
    """Results of ``function`` for each observed layer, as a list in the order of layers.

    Attributes:
        function: A function at module level, so that equal observations share their work.
    """

    function: Optional[Callable[[Tensor], Any]] = None

    def init(self, layout: TokenLayout) -> tuple:
        """Return where the patches start, and no result yet."""
        return layout.num_class_tokens, []

    def finish(self, state: tuple) -> list:
        """Return the results."""
        return state[1]


@dataclass(frozen=True)
class LayerTokens(_ByLayer):
    """``function`` of the patch tokens (B, N, D) in the residual stream after each layer."""

    reads: ClassVar[Reads] = 'block'

    def update(self, state: tuple, layer: int, value: Any) -> tuple:
        """Reduce the patch tokens of a layer."""
        state[1].append(self.function(value.tokens[:, state[0]:]))
        return state


@dataclass(frozen=True)
class LayerPatchAttention(_ByLayer):
    """``function`` of the attention among patches (B, N, N), averaged over heads, of each layer; queries in rows.

    Rows sum to less than 1, because the class tokens are keys, too.
    """

    reads: ClassVar[Reads] = 'mean'

    def update(self, state: tuple, layer: int, value: Tensor) -> tuple:
        """Reduce the attention of a layer."""
        state[1].append(self.function(value[:, state[0]:, state[0]:]))
        return state


@dataclass(frozen=True)
class LayerHeadAttention(_ByLayer):
    """As :class:`LayerPatchAttention`, of each head: a list of layers with the mean of ``function`` over heads."""

    reads: ClassVar[Reads] = 'heads'

    def init(self, layout: TokenLayout) -> tuple:
        """Return where the patches start, and no result yet."""
        return layout.num_class_tokens, {}

    def update(self, state: tuple, layer: int, value: HeadMaps) -> tuple:
        """Reduce the attention of some heads."""
        start, found = state
        found.setdefault(layer, []).extend(self.function(head[:, start:, start:]) for head in value.maps.unbind(dim=1))
        return state

    def finish(self, state: tuple) -> list:
        """Average over heads."""
        return [sum(heads) / len(heads) for heads in state[1].values()]


@dataclass(frozen=True)
class ClassHeadRows(Observation):
    """Attention of the class tokens to the patches in every head of the observed layers: (B, L, H, M, N).

    Rows sum to less than 1, because the class tokens are keys, too.
    """

    reads: ClassVar[Reads] = 'heads'

    def init(self, layout: TokenLayout) -> tuple:
        """Return the layout, and no row yet."""
        return layout, {}

    def rows(self, layout: TokenLayout) -> slice:
        """Return the queries."""
        return slice(layout.num_class_tokens)

    def update(self, state: tuple, layer: int, value: HeadMaps) -> tuple:
        """Keep the rows of some heads."""
        layout, layers = state
        rows = value.maps[:, :, self.rows(layout), layout.num_class_tokens:].clone()
        layers.setdefault(layer, []).append(rows)
        return state

    def finish(self, state: tuple) -> Tensor:
        """Join heads and stack layers."""
        return torch.stack([torch.cat(heads, dim=1) for heads in state[1].values()], dim=1)


@dataclass(frozen=True)
class PointHeadRows(ClassHeadRows):
    """As :class:`ClassHeadRows`, of the patch in which a point lies: (B, L, H, 1, N).

    Attributes:
        point: (x, y) in [0, 1], relative to the width and the height of the token grid.
    """

    point: tuple[float, float] = (.5, .5)

    def rows(self, layout: TokenLayout) -> slice:
        """Return the query."""
        index = layout.num_class_tokens + patch_at(self.point, layout.grid)
        return slice(index, index + 1)


def patch_at(point: tuple[float, float], grid: tuple[int, int]) -> int:
    """Return the row-major index of the patch in which a point (x, y) in [0, 1] lies."""
    row, col = (min(int(place * count), count - 1) for place, count in zip(point[::-1], grid))
    return row * grid[1] + col
