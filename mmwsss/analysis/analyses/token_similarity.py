"""Cosine similarity of patch tokens: how uniform a Vision Transformer makes them (ToCo, CVPR 2023, Fig. 1 and 2)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmwsss.models import Features, Request

from .base import ANALYSES, ModelAnalysis, Sample
from .drawing import draw_layer_curves
from .observations import LayerTokens

__all__ = ['TokenSimilarity', 'mean_token_similarity']


def mean_token_similarity(tokens: Tensor, absolute: bool = False) -> Tensor:
    """Average the cosine similarity of all pairs of different tokens.

    Args:
        tokens: (B, N, D), at least two tokens.
        absolute: Average absolute values, as ToCo's loss does.

    Returns:
        (B,) in [-1, 1]. Of signed values it costs O(N D): the square of the sum of unit vectors has all pairs in it.
    """
    count, units = tokens.shape[1], F.normalize(tokens, dim=2)
    if absolute:
        total = (units @ units.mT).abs().sum(dim=(1, 2))
    else:
        total = units.sum(dim=1).square().sum(dim=1)
    return (total - count) / (count * (count - 1))


def _absolute_similarity(tokens: Tensor) -> Tensor:
    return mean_token_similarity(tokens, absolute=True)


@ANALYSES.register_module(name='token-similarity')
class TokenSimilarity(ModelAnalysis):
    """Mean cosine similarity of the patch tokens after each layer.

    Args:
        absolute: Average absolute values.
        raw: Take the raw output of the last layer. Otherwise its value is that of the map that the backbone gives,
            after the final norm if the model applies it.
    """

    source = 'ToCo Fig. 2 (8, 9)'

    def __init__(self, absolute: bool = False, raw: bool = False) -> None:
        self.raw = raw
        self._function = _absolute_similarity if absolute else mean_token_similarity
        self._observation = LayerTokens(function=self._function)
        self._values: list[list[float]] = []

    def request(self, model: nn.Module) -> Request:
        """Request the similarity of each layer, and the last map."""
        return Request(observations=(self._observation, ))

    def update(self, model: nn.Module, sample: Sample, features: Features) -> None:
        """Add the similarities of an image."""
        layers = [value.item() for value in features[self._observation]]
        # The last map of a Conformer is that of its CNN branch, whose width differs.
        last = features.maps[-1]
        if not self.raw and features.class_tokens is not None and last.shape[1] == features.class_tokens.shape[2]:
            layers[-1] = self._function(last.flatten(2).mT).item()
        self._values.append(layers)

    def compute(self) -> dict[str, Any]:
        """Return ``mean`` and ``std`` over images of each layer."""
        values = torch.tensor(self._values, dtype=torch.float64)
        return {'mean': values.mean(dim=0).tolist(), 'std': values.std(dim=0, correction=0).tolist()}

    def summary(self, data: Mapping[str, Any]) -> dict[str, float]:
        """Return the similarity after the last layer."""
        return {'last layer': data['mean'][-1]}

    def draw(self, record: Mapping[str, Any], path: Path) -> None:
        """Draw a line for each run, with a band of one standard deviation over images."""
        curves = {run['label']: (run['data']['mean'], *_band(run['data'])) for run in record['runs']}
        draw_layer_curves(curves, 'cosine similarity of patch tokens', path)


def _band(data: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    pairs = list(zip(data['mean'], data['std']))
    return [mean - std for mean, std in pairs], [mean + std for mean, std in pairs]
