"""Attention among patches by layer: matrices, Hellinger distance of their rows, attended tokens (AReAM, Fig. 3, 7)."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmwsss.models import Features, Request

from .base import ANALYSES, ModelAnalysis, Sample
from .drawing import Cell, draw_grid, draw_layer_curves, draw_panels
from .matrices import (
    diagonal_share,
    effective_keys,
    foreground_mass,
    hellinger_distances,
    pooled_matrix,
    token_foreground,
)
from .observations import LayerHeadAttention, LayerPatchAttention
from .records import encode_photo, rounded, runs_of, spread

__all__ = ['AffinityMatrices', 'AttendedTokens', 'HellingerDistance']

LAYERS_IN_A_ROW = 6


def _share_and_keys(affinity: Tensor) -> tuple[float, float]:
    return diagonal_share(affinity).item(), effective_keys(affinity).item()


@ANALYSES.register_module(name='affinity-matrices')
class AffinityMatrices(ModelAnalysis):
    """Attention among patches of one image in each layer, averaged over heads, as matrices.

    ``diagonal_share`` (how much tokens attend to themselves) and ``effective_keys`` (how many tokens are attended) of
    each layer are means over all images; the matrices are those of the first.

    Args:
        max_side: Larger matrices are averaged to this size.
        percentile: Numbers above this percentile of a matrix get the last color, because deep layers have few bright
            columns.
    """

    source = 'AReAM Fig. 3 left, Fig. 7 top'

    def __init__(self, max_side: int = 128, percentile: float = 99.5) -> None:
        self.percentile = percentile
        self._numbers: list[list[tuple[float, float]]] = []
        self._matrices: list = []
        self._matrix = LayerPatchAttention(function=partial(_pooled_rows, max_side=max_side))
        self._reduced = LayerPatchAttention(function=_share_and_keys)
        self._image = ''

    def request(self, model: nn.Module) -> Request:
        """Request the numbers of each layer and, of the first image, the matrices."""
        return Request(observations=(self._reduced, *[self._matrix] * (not self._image)))

    def update(self, model: nn.Module, sample: Sample, features: Features) -> None:
        """Add an image."""
        if not self._image:
            self._image = sample.image_id
            self._matrices = [rounded(matrix, 4) for matrix in features[self._matrix]]
        self._numbers.append(features[self._reduced])

    def compute(self) -> dict[str, Any]:
        """Return the ``matrices`` of ``image``, rows summing to 1, and the numbers of each layer."""
        share, keys = torch.tensor(self._numbers, dtype=torch.float64).mean(dim=0).unbind(dim=1)
        return dict(image=self._image, matrices=self._matrices, diagonal_share=rounded(share),
                    effective_keys=rounded(keys))

    def summary(self, data: Mapping[str, Any]) -> dict[str, float]:
        """Return the numbers of the last layer."""
        return {f'{name} of the last layer': data[name][-1] for name in ('diagonal_share', 'effective_keys')}

    def draw(self, record: Mapping[str, Any], path: Path) -> None:
        """Draw rows of six layers for each run."""
        rows: list[list[Cell]] = []
        names: list[str] = []
        for label, data in runs_of(record):
            cells = []
            numbers = zip(data['matrices'], data['diagonal_share'], data['effective_keys'])
            for layer, (matrix, share, keys) in enumerate(numbers, start=1):
                values = np.array(matrix)
                title = f'layer {layer}: diagonal {share:.0%}, {keys:.0f} keys'
                limits = values.min(), np.percentile(values, record['options']['percentile'])
                cells.append(Cell(values, title, limits=limits))
            rows += [cells[start:start + LAYERS_IN_A_ROW] for start in range(0, len(cells), LAYERS_IN_A_ROW)]
            names += [label] * (len(rows) - len(names))
        draw_grid(rows, path, names)


def _pooled_rows(affinity: Tensor, max_side: int) -> Tensor:
    """Let the rows of (1, N, N) sum to 1 and average blocks of the matrix."""
    return pooled_matrix((affinity / affinity.sum(dim=2, keepdim=True))[0], max_side).clone()


@ANALYSES.register_module(name='hellinger-distance')
class HellingerDistance(ModelAnalysis):
    """Mean Hellinger distance between the rows of the attention among patches, in each layer.

    Args:
        normalize: Let rows sum to 1 first.
        by_head: Compute it for each head and average then, instead of averaging attention over heads.
    """

    source = 'AReAM Fig. 3 right'

    def __init__(self, normalize: bool = True, by_head: bool = False) -> None:
        kind = LayerHeadAttention if by_head else LayerPatchAttention
        self._observation = kind(function=partial(_mean_distance, normalize=normalize))
        self._values: list[list[float]] = []

    def request(self, model: nn.Module) -> Request:
        """Request the mean distance of each layer."""
        return Request(observations=(self._observation, ))

    def update(self, model: nn.Module, sample: Sample, features: Features) -> None:
        """Add an image."""
        self._values.append(features[self._observation])

    def compute(self) -> dict[str, Any]:
        """Return mean, standard deviation and quartiles over images, of each layer."""
        return spread(torch.tensor(self._values))

    def summary(self, data: Mapping[str, Any]) -> dict[str, float]:
        """Return the distances of the first and the last layer."""
        return {'first layer': data['mean'][0], 'last layer': data['mean'][-1]}

    def draw(self, record: Mapping[str, Any], path: Path) -> None:
        """Draw a line for each run, with a band between the quartiles."""
        draw_layer_curves(dict(runs_of(record)), 'Hellinger distance', path, limits=(0, 1))


def _mean_distance(affinity: Tensor, normalize: bool) -> float:
    """Average the distances of all pairs of different rows of (1, N, N)."""
    distances, count = hellinger_distances(affinity, normalize)[0], affinity.shape[1]
    return ((distances.sum() - distances.diagonal().sum()) / (count * (count - 1))).item()


@ANALYSES.register_module(name='attended-tokens')
class AttendedTokens(ModelAnalysis):
    """Attention that each patch gets from all others in a layer, over the image, and how much of it is on objects.

    Where images have masks, ``ratio`` is the share of attention that falls on foreground divided by the share of
    foreground in the area: above 1, attention is drawn to objects.

    Args:
        layer: Which layer; negative numbers count from the end.
        show: Number of images that are drawn. The numbers are of all images.
    """

    source = 'AReAM Fig. 7 bottom'

    def __init__(self, layer: int = -1, show: int = 4) -> None:
        self.show = show
        self._observation = LayerPatchAttention(layers=(layer, ), function=_mean_column)
        self._images: list[dict] = []
        self._mass: list[tuple[float, float]] = []

    def request(self, model: nn.Module) -> Request:
        """Request the column means."""
        return Request(observations=(self._observation, ))

    def update(self, model: nn.Module, sample: Sample, features: Features) -> None:
        """Add an image."""
        attended, = features[self._observation]
        grid = features.layout.grid
        if sample.mask is not None:
            patch = _pair(model.backbone.patch_size)
            foreground = token_foreground(sample.mask, sample.inputs.shape[-2:], grid, patch)
            self._mass.append(foreground_mass(attended.cpu(), foreground.flatten()))
        if len(self._images) < self.show:
            panel = dict(title='attended tokens', map=rounded(attended.unflatten(0, grid)), style='overlay')
            self._images.append(dict(id=sample.image_id, photo=encode_photo(sample.photo),
                                     rows=[dict(name='', panels=[panel])]))

    def compute(self) -> dict[str, Any]:
        """Return the maps, and means over the images that show foreground; None without masks."""
        known = [(mass, area) for mass, area in self._mass if area > 0]
        if not known:
            return dict(images=self._images, foreground_mass=None, area=None, ratio=None, judged_images=0)
        mass, area = torch.tensor(known, dtype=torch.float64).unbind(dim=1)
        return dict(images=self._images, foreground_mass=rounded(mass.mean()), area=rounded(area.mean()),
                    ratio=rounded((mass / area).mean()), judged_images=len(known))

    def summary(self, data: Mapping[str, Any]) -> dict[str, float]:
        """Return the ratio, where there are masks."""
        return {} if data['ratio'] is None else {key: data[key] for key in ('foreground_mass', 'area', 'ratio')}

    def draw(self, record: Mapping[str, Any], path: Path) -> None:
        """Draw a row for each image with the maps of all runs."""
        draw_panels(record, path)


def _mean_column(affinity: Tensor) -> Tensor:
    return affinity[0].mean(dim=0)


def _pair(patch: Any) -> tuple[int, int]:
    return (patch, patch) if isinstance(patch, int) else tuple(patch)
