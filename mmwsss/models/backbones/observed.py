"""A backbone somebody else looks at while a head drives it."""

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor

from .attention import AttentionFn, ScoreFactors, head_mean
from .attention_vit import AttentionViT, ViTTokens

__all__ = ['ObservedViT']


class ObservedViT:
    """Stands in for an :class:`AttentionViT` wherever tokens are asked for, and keeps relations of patches meanwhile.

    Whatever the caller of :meth:`forward_tokens` asks for, it gets; everything else is the backbone's own.

    Args:
        backbone: The backbone.
        scores: Keep the factors of scores before softmax, with gradient.
        probabilities: Keep attention, detached.
        patch_keys_only: Normalise attention over the patches instead of over all tokens.
    """

    def __init__(self, backbone: AttentionViT, scores: bool = False, probabilities: bool = False,
                 patch_keys_only: bool = False) -> None:
        self._backbone = backbone
        self._all = range(backbone.num_layers)
        self._scores = self._all if scores else ()
        self._probabilities = probabilities
        self._patch_keys_only = patch_keys_only
        self._kept_scores: list[ScoreFactors] = []
        self._kept_probabilities: list[Tensor] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backbone, name)

    def forward_tokens(self,
                       x: Tensor,
                       attention: Sequence[int] = (),
                       attention_fn: AttentionFn = head_mean,
                       **kwargs) -> ViTTokens:
        """Run the backbone as its method of this name does; ``attention_logits`` is not supported."""
        if not self._probabilities:
            tokens = self._backbone.forward_tokens(
                x, attention=attention, attention_fn=attention_fn, patch_scores=self._scores, **kwargs)
        else:
            asked = {self._all[i] for i in attention}
            both = _PatchAttention(self._backbone.num_extra_tokens, self._patch_keys_only, asked, attention_fn)
            tokens = self._backbone.forward_tokens(
                x, attention=self._all, attention_fn=both, patch_scores=self._scores, **kwargs)
            tokens = tokens._replace(attentions={i: tokens.attentions[i] for i in sorted(asked)})
            self._kept_probabilities = list(both.means.values())
        self._kept_scores = list((tokens.patch_scores or {}).values())
        return tokens

    def take(self) -> tuple[list[ScoreFactors], Tensor]:
        """Give the scores and the probabilities of the latest pass, and let go of them.

        Returns:
            The factors of all L layers' scores, and probabilities (B, L, N, N), queries in rows, whose sum is less than
            1 unless ``patch_keys_only``; empty what is not kept.
        """
        scores, self._kept_scores = self._kept_scores, []
        probabilities, self._kept_probabilities = self._kept_probabilities, []
        return scores, torch.stack(probabilities, dim=1) if probabilities else torch.empty(0)


class _PatchAttention:
    """Keeps the patch-to-patch part of every layer's attention, and passes on what another function asked for.

    Args:
        start: Number of class tokens.
        patch_keys_only: See :class:`ObservedViT`.
        asked: Layers the other function asked for.
        attention_fn: The other function.

    Attributes:
        means: layer -> (B, N, N) mean over heads.
    """

    def __init__(self, start: int, patch_keys_only: bool, asked: Collection[int], attention_fn: AttentionFn) -> None:
        self._start = start
        self._patch_keys_only = patch_keys_only
        self._asked = asked
        self._attention_fn = attention_fn
        self.means: dict[int, Tensor] = {}
        if not asked or hasattr(attention_fn, 'add_head'):
            self.add_head = self._add_head

    def __call__(self, layer: int, attention: Tensor) -> Any:
        """Take attention (B, heads, T, T)."""
        self.means[layer] = self._part(attention).mean(dim=1)
        return self._attention_fn(layer, attention) if layer in self._asked else None

    def _add_head(self, layer: int, attention: Tensor, num_heads: int) -> None:
        """Take attention (B, T, T) of one head."""
        part = self._part(attention) / num_heads
        self.means[layer] = self.means[layer].add_(part) if layer in self.means else part
        if layer in self._asked:
            self._attention_fn.add_head(layer, attention, num_heads)

    def _part(self, attention: Tensor) -> Tensor:
        part = attention.detach()[..., self._start:, self._start:]
        # Probabilities of all keys divided by their sum over some are the softmax over those.
        return part / part.sum(dim=-1, keepdim=True) if self._patch_keys_only else part
