"""A backbone somebody else looks at while a head drives it."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .attention import AttentionFn, head_mean
from .attention_vit import AttentionViT, ViTTokens

__all__ = ['ObservedViT']


class ObservedViT:
    """Stands in for an :class:`AttentionViT` wherever tokens are asked for, and keeps relations of patches meanwhile.

    Whatever the caller of :meth:`forward_tokens` asks for, it gets; everything else is the backbone's own.

    Args:
        backbone: The backbone.
        logits: Keep scaled products before softmax, with gradient.
        probabilities: Keep attention, detached.
        patch_keys_only: Normalise attention over the patches instead of over all tokens.

    Attributes:
        kept_logits: Of every layer the head mean (B, N, N) in the latest pass.
        kept_probabilities: Likewise. Rows sum to less than 1, unless ``patch_keys_only``.
    """

    def __init__(self, backbone: AttentionViT, logits: bool = False, probabilities: bool = False,
                 patch_keys_only: bool = False) -> None:
        self._backbone = backbone
        self._all = range(backbone.num_layers)
        self._logits = self._all if logits else ()
        self._probabilities = probabilities
        self._patch_keys_only = patch_keys_only
        self.kept_logits: list[Tensor] = []
        self.kept_probabilities: list[Tensor] = []

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
                x, attention=attention, attention_fn=attention_fn, patch_logits=self._logits, **kwargs)
        else:
            self.kept_probabilities = []
            asked = {self._all[i] for i in attention}

            def both(layer: int, maps: Tensor) -> Any:
                self._keep(maps.detach())
                return attention_fn(layer, maps) if layer in asked else None

            tokens = self._backbone.forward_tokens(
                x, attention=self._all, attention_fn=both, patch_logits=self._logits, **kwargs)
            tokens = tokens._replace(attentions={i: tokens.attentions[i] for i in sorted(asked)})
        self.kept_logits = list((tokens.patch_logits or {}).values())
        return tokens

    def _keep(self, attention: Tensor) -> None:
        start = self._backbone.num_extra_tokens
        maps = attention[:, :, start:, start:]
        if self._patch_keys_only:
            # Probabilities of all keys, divided by their sum over some, are the softmax over those.
            maps = maps / maps.sum(dim=-1, keepdim=True)
        self.kept_probabilities.append(maps.mean(dim=1))

    def stacked(self) -> tuple[Tensor, Tensor]:
        """Give what was kept as (B, L, N, N), and let go of it; empty tensors for what was not asked for."""
        logits, probabilities = (torch.stack(maps, dim=1) if maps else torch.empty(0)
                                 for maps in (self.kept_logits, self.kept_probabilities))
        self.kept_logits, self.kept_probabilities = [], []
        return logits, probabilities
