"""Attention of every head and layer, which the plain implementations in the benchmarks store."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from mmwsss.models import Features, Observation, Request, TokenLayout, extract_features
from mmwsss.models.backbones.attention import HeadMaps
from mmwsss.models.backbones.features import Reads

__all__ = ['AllAttention', 'pass_with_all_attention']


@dataclass(frozen=True)
class AllAttention(Observation):
    """Attention of all heads and layers: (B, L, H, T, T)."""

    reads: ClassVar[Reads] = 'heads'

    def init(self, layout: TokenLayout) -> dict:
        """Return an empty dict."""
        return {}

    def update(self, state: dict, layer: int, value: HeadMaps) -> dict:
        """Keep some heads of a layer."""
        state.setdefault(layer, []).append(value.maps)
        return state

    def finish(self, state: dict) -> Tensor:
        """Stack heads and layers."""
        parts = [part for heads in state.values() for part in heads]
        return torch.cat(parts, dim=1).unflatten(1, (len(state), -1))


def pass_with_all_attention(backbone: nn.Module, images: Tensor, grad: bool = False) -> tuple[Features, Tensor]:
    """Run a backbone on images (B, 3, H, W).

    Returns:
        Its features, and attention (B, L, H, T, T), with gradient or without.
    """
    everything = AllAttention(grad=grad)
    features = extract_features(backbone, images, Request(observations=(everything, )))
    return features, features[everything]
