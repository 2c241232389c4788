"""Cosine similarity of patch tokens: how uniform a Vision Transformer makes them (ToCo, CVPR 2023, Fig. 1 and 2)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmwsss.models import Features, Request

from .base import ANALYSES, ModelAnalysis, Sample
from .drawing import draw_layer_curves, draw_panels
from .matrices import pooled_matrix
from .observations import LayerTokens, patch_at
from .records import encode_photo, rounded, runs_of

__all__ = ['SimilarityMap', 'TokenSimilarity', 'mean_token_similarity']


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


def _has_last_tokens(features: Features) -> bool:
    """Return whether the last map is of patch tokens; a Conformer's is that of its CNN branch, of another width."""
    tokens = features.class_tokens
    return bool(features.maps) and tokens is not None and features.maps[-1].shape[1] == tokens.shape[2]


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
        if not self.raw and _has_last_tokens(features):
            layers[-1] = self._function(features.maps[-1].flatten(2).mT).item()
        self._values.append(layers)

    def compute(self) -> dict[str, Any]:
        """Return ``mean`` over images of each layer, ``std``, and their difference and sum ``low`` and ``high``."""
        values = torch.tensor(self._values, dtype=torch.float64)
        mean, std = values.mean(dim=0), values.std(dim=0, correction=0)
        return {key: rounded(value) for key, value in dict(mean=mean, std=std, low=mean - std, high=mean + std).items()}

    def summary(self, data: Mapping[str, Any]) -> dict[str, float]:
        """Return the similarity after the last layer."""
        return {'last layer': data['mean'][-1]}

    def draw(self, record: Mapping[str, Any], path: Path) -> None:
        """Draw a line for each run, with a band of one standard deviation over images."""
        draw_layer_curves(dict(runs_of(record)), 'cosine similarity of patch tokens', path)


@ANALYSES.register_module(name='similarity-map')
class SimilarityMap(ModelAnalysis):
    """Cosine similarity of all pairs of final patch tokens, and of one of them to all others, beside image and CAM.

    Args:
        images: Number of images.
        point: (x, y) in [0, 1] of the token whose similarities are shown as a map.
        max_side: Larger matrices are averaged to this size.
    """

    source = 'ToCo Fig. 1'

    def __init__(self, images: int = 3, point: tuple[float, float] = (.5, .5), max_side: int = 256) -> None:
        self.max_images = images
        self.point, self.max_side = (point[0], point[1]), max_side
        self._images: list[dict] = []
        self._tokens = LayerTokens(layers=(-1, ), function=Tensor.clone)

    def request(self, model: nn.Module) -> Request:
        """Request the last tokens and, if there is a CAM head, what its maps need."""
        request = Request(observations=(self._tokens, ))
        return request + model.cam_head.request(['cams']) if hasattr(model, 'cam_head') else request

    def update(self, model: nn.Module, sample: Sample, features: Features) -> None:
        """Add the panels of an image."""
        last = features.maps[-1].flatten(2).mT if _has_last_tokens(features) else features[self._tokens][0]
        units = F.normalize(last, dim=2)[0]
        grid = features.layout.grid
        panels = []
        if hasattr(model, 'cam_head') and sample.present:
            cams = model.cam_head.maps(features, ['cams'])['cams'][0, sample.present]
            panels.append(dict(title='CAM', map=rounded(cams.relu().amax(dim=0)), style='overlay'))
        matrix = units @ units.mT
        query = matrix[patch_at(self.point, grid)].unflatten(0, grid)
        panels += [dict(title='all pairs of tokens', map=rounded(pooled_matrix(matrix, self.max_side), 4),
                        style='matrix'),
                   dict(title='similarity to the point', map=rounded(query), style='overlay')]
        row = dict(name='', point=self.point, panels=panels)
        self._images.append(dict(id=sample.image_id, photo=encode_photo(sample.photo), rows=[row]))

    def compute(self) -> dict[str, Any]:
        """Return the panels of all images."""
        return dict(images=self._images)

    def draw(self, record: Mapping[str, Any], path: Path) -> None:
        """Draw a row for each image."""
        draw_panels(record, path)
