"""Observations that reduce the tokens or the attention of each layer by a function, so that no map is kept."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Optional

from torch import Tensor

from mmwsss.models import Observation, TokenLayout

__all__ = ['LayerPatchAttention', 'LayerTokens']


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

    reads: ClassVar[str] = 'block'

    def update(self, state: tuple, layer: int, value: Any) -> tuple:
        """Reduce the patch tokens of a layer."""
        state[1].append(self.function(value.tokens[:, state[0]:]))
        return state


@dataclass(frozen=True)
class LayerPatchAttention(_ByLayer):
    """``function`` of the attention among patches (B, N, N), averaged over heads, of each layer; queries in rows.

    Rows sum to less than 1, because the class tokens are keys, too.
    """

    reads: ClassVar[str] = 'mean'

    def update(self, state: tuple, layer: int, value: Tensor) -> tuple:
        """Reduce the attention of a layer."""
        state[1].append(self.function(value[:, state[0]:, state[0]:]))
        return state
