"""Sums of head-averaged attention, formed while the encoder runs so that no map outlives its layer."""

from collections.abc import Collection
from typing import Optional

from torch import Tensor

__all__ = ['AttentionSums']


class AttentionSums:
    """Adds up two parts of every layer's attention; an ``attention_fn`` of :class:`~mmwsss.models.AttentionViT`.

    What is added is the mean over heads of probabilities, rows being queries, without renormalisation of the parts.

    Args:
        num_class_tokens: C, number of tokens in front of the patches.
        class_layers: Layers whose class-to-patch part is added.
        patch_layers: Layers whose patch-to-patch part is added.
        classes: Class tokens of the class-to-patch part; None for all.

    Attributes:
        class_to_patch: (B, C or number of classes, N), or None as long as no such layer was seen.
        patch_to_patch: (B, N, N), or None likewise.
        layers: Layers that have to be handed out.
    """

    def __init__(self,
                 num_class_tokens: int,
                 class_layers: Collection[int] = (),
                 patch_layers: Collection[int] = (),
                 classes: Optional[Tensor] = None) -> None:
        self._num_class_tokens = num_class_tokens
        self._class_layers = frozenset(class_layers)
        self._patch_layers = frozenset(patch_layers)
        self._classes = slice(num_class_tokens) if classes is None else classes
        self.layers = sorted(self._class_layers | self._patch_layers)
        self.class_to_patch: Optional[Tensor] = None
        self.patch_to_patch: Optional[Tensor] = None

    def __call__(self, layer: int, attention: Tensor) -> None:
        """Add attention (B, heads, T, T) of a layer."""
        start = self._num_class_tokens
        if layer in self._class_layers:
            self.class_to_patch = _added(self.class_to_patch, attention[:, :, self._classes, start:].mean(dim=1))
        if layer in self._patch_layers:
            self.patch_to_patch = _added(self.patch_to_patch, attention[:, :, start:, start:].mean(dim=1))

    def add_head(self, layer: int, attention: Tensor, num_heads: int) -> None:
        """Add attention (B, T, T) of one of a layer's heads; all of them are what a call of the object adds."""
        start = self._num_class_tokens
        if layer in self._class_layers:
            self.class_to_patch = _added(self.class_to_patch, attention[:, self._classes, start:], 1 / num_heads)
        if layer in self._patch_layers:
            self.patch_to_patch = _added(self.patch_to_patch, attention[:, start:, start:], 1 / num_heads)


def _added(total: Optional[Tensor], part: Tensor, weight: float = 1.) -> Tensor:
    return part * weight if total is None else total.add_(part, alpha=weight)
