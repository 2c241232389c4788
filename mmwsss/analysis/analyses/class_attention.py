"""Attention of class tokens and of single patches to the patches, as maps over photographs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

import torch
from torch import Tensor, nn

from mmwsss.models import Features, Request, extract_features
from mmwsss.models.backbones import ClassAttentionSum, PatchAttentionSum
from mmwsss.models.utils import normalize_cams, refine_with_affinity, resize_maps
from mmwsss.utils.errors import UserError

from .base import ANALYSES, ModelAnalysis, Sample
from .drawing import draw_panels
from .observations import ClassHeadRows, PointHeadRows
from .records import encode_photo, rounded

__all__ = ['ClassAttention', 'HeadAttention', 'ReferencePoint', 'weighted_mean']

UNCERTAIN = .25, .7


class PanelAnalysis(ModelAnalysis):
    """An analysis that shows a few images: rows of panels for each.

    Args:
        images: Number of images.
    """

    def __init__(self, images: int) -> None:
        self.max_images = images
        self._images: list[dict] = []

    def add(self, sample: Sample, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add an image; see :func:`~mmwsss.analysis.analyses.drawing.draw_panels`."""
        self._images.append(dict(id=sample.image_id, photo=encode_photo(sample.photo), rows=list(rows)))

    def compute(self) -> dict[str, Any]:
        """Return the panels of all images."""
        return dict(images=self._images)

    def draw(self, record: Mapping[str, Any], path: Path) -> None:
        """Draw a row for each image and class."""
        draw_panels(record, path)


def _panel(title: str, values: Tensor, grid: Sequence[int], style: str = 'overlay', gamma: float = 1) -> dict:
    return dict(title=title, map=rounded(values.unflatten(-1, tuple(grid))), style=style, gamma=gamma)


@ANALYSES.register_module(name='class-attention')
class ClassAttention(PanelAnalysis):
    """Attention of class tokens to patches, averaged over heads.

    With a token for each class: the mean over the last layers for each class of the image, and the same refined by the
    attention among patches of all layers. With one token: its attention in the last layer and, if ``crop`` is set, that
    of a square around a place about which the auxiliary CAM is uncertain.

    Args:
        images: Number of images.
        layers: Number of last layers that are averaged. Defaults to 3 with a token for each class, else 1.
        crop: Side of the square in pixels of the input, 96 in ToCo; it is enlarged to the short side of the input.
        gamma: Exponent of the crop's map, scaled to [0, 1], in the figure.
    """

    source = 'ToCo Fig. 7, 12; MCTformer Fig. 5'

    def __init__(self, images: int = 3, layers: Optional[int] = None, crop: int = 0, gamma: float = 1.) -> None:
        super().__init__(images)
        self.layers, self.crop, self.gamma = layers, crop, gamma

    def process(self, model: nn.Module, sample: Sample) -> None:
        """Run the image, and the crop if there is one."""
        several = getattr(model.backbone, 'num_extra_tokens', 1) > 1
        count = self.layers or (3 if several else 1)
        attention = ClassAttentionSum(layers=tuple(range(-count, 0)))
        affinity = PatchAttentionSum()
        request = Request(observations=(attention, *[affinity] * several))
        with_aux = bool(self.crop) and 'aux_cams' in getattr(getattr(model, 'cam_head', None), 'map_names', ())
        if with_aux:
            request += model.cam_head.request(['aux_cams'])
        features = extract_features(model.backbone, sample.inputs, request)
        maps = features[attention] / count
        if several:
            refined = refine_with_affinity(maps.unflatten(2, features.grid), features[affinity]).flatten(2)
            self.add(sample, [
                dict(name=name, panels=[_panel('class token', maps[0, index], features.layout.grid),
                                        _panel('refined', refined[0, index], features.layout.grid)])
                for index, name in _tokens_of(sample, maps.shape[1])])
            return
        panels = [_panel('class token', maps[0, 0], features.layout.grid, 'magma')]
        if self.crop:
            aux = model.cam_head.maps(features, ['aux_cams'])['aux_cams'][0, sample.present] if with_aux else None
            panels += self._crop_panels(model, sample, aux, attention, count)
        self.add(sample, [dict(name='', panels=panels)])

    def _crop_panels(self, model: nn.Module, sample: Sample, aux: Optional[Tensor], attention: ClassAttentionSum,
                     count: int) -> list[dict]:
        """Return the photograph of the crop and its map."""
        size = sample.inputs.shape[-2:]
        top, left = _crop_corner(aux, size, self.crop)
        rows, columns = slice(top, top + self.crop), slice(left, left + self.crop)
        enlarged = resize_maps(sample.inputs[:, :, rows, columns], (min(size), min(size)))
        features = extract_features(model.backbone, enlarged, Request(observations=(attention, )))
        return [dict(title='crop', photo=encode_photo(sample.photo[rows, columns]), style='photo'),
                _panel('class token, crop', features[attention][0, 0] / count, features.layout.grid, 'magma',
                       self.gamma)]


def _crop_corner(aux: Optional[Tensor], size: Sequence[int], side: int) -> tuple[int, int]:
    """Choose the top left corner of a square: around a random place of uncertain CAMs (P, h, w), or the middle."""
    center = [edge // 2 for edge in size]
    if aux is not None and len(aux):
        scores = normalize_cams(aux).amax(dim=0)
        uncertain = ((scores > UNCERTAIN[0]) & (scores < UNCERTAIN[1])).nonzero()
        if len(uncertain):
            place = uncertain[torch.randint(len(uncertain), ())].tolist()
            center = [int((cell + .5) * edge / cells) for cell, edge, cells in zip(place, size, scores.shape)]
    if side > min(size):
        raise UserError(f'crop={side} is larger than the input of {size[0]} x {size[1]} pixels')
    top, left = (min(max(middle - side // 2, 0), edge - side) for middle, edge in zip(center, size))
    return top, left


def _tokens_of(sample: Sample, num_tokens: int) -> list[tuple[int, str]]:
    """Return the class tokens of an image's classes with the classes' names; the only token where there is one."""
    if num_tokens == 1:
        return [(0, '')]
    if num_tokens != len(sample.classes):
        raise UserError(f'the backbone has {num_tokens} class tokens, the data have {len(sample.classes)} classes: '
                        'give the data that the model was trained on, or --classes')
    return [(index, sample.classes[index]) for index in sample.present]


class _HeadPanels(PanelAnalysis):
    """Panels of single heads, their mean, and their mean with the weights of a model that has learned them.

    Args:
        images: Number of images.
        heads: (layer, head) pairs, both counted from 1. Defaults to the first head of the first, a middle and the last
            layer.
    """

    def __init__(self, images: int, heads: Optional[Sequence[Sequence[int]]]) -> None:
        super().__init__(images)
        self.heads = heads

    def head_request(self, model: nn.Module) -> Request:
        """Request what the weights of the model depend on."""
        fusion = getattr(getattr(model, 'cam_head', None), 'attention_fusion', None)
        return Request() if fusion is None or fusion.pooling is None else Request(observations=(fusion.pooling, ))

    def head_panels(self, model: nn.Module, features: Features, rows: Tensor) -> list[dict]:
        """Return the panels of attention (L, H, N)."""
        grid, (num_layers, num_heads) = features.layout.grid, rows.shape[:2]
        heads = self.heads or [(layer, 1) for layer in dict.fromkeys((1, (num_layers + 1) // 2, num_layers))]
        for layer, head in heads:
            if not (1 <= layer <= num_layers and 1 <= head <= num_heads):
                raise UserError(f'there is no head {head} in layer {layer}: there are {num_layers} layers of '
                                f'{num_heads} heads, counted from 1')
        panels = [_panel(f'layer {layer}, head {head}', rows[layer - 1, head - 1], grid) for layer, head in heads]
        panels.append(_panel('mean', rows.mean(dim=(0, 1)), grid))
        weights = _fusion_weights(model, features)
        return panels if weights is None else [*panels, _panel('weighted mean', weighted_mean(rows, weights), grid)]


def weighted_mean(rows: Tensor, weights: Tensor) -> Tensor:
    """Fuse the attention of heads (L, H, N) by weights (L, H), divided by their number (WeakTr, Eq. 4): (N,)."""
    return torch.einsum('lhn,lh->n', rows, weights.to(rows)) / weights.numel()


def _fusion_weights(model: nn.Module, features: Features) -> Optional[Tensor]:
    """Return the weights (L, H) that a model gives its heads, or None where it has none."""
    fusion = getattr(getattr(model, 'cam_head', None), 'attention_fusion', None)
    if fusion is None:
        return None
    static = fusion.static_weights(features.layout.num_tokens)
    weights = fusion(features[fusion.pooling]) if static is None else static
    return weights[0].unflatten(0, (-1, fusion.num_layers)).T


@ANALYSES.register_module(name='head-attention')
class HeadAttention(_HeadPanels):
    """Attention of class tokens to patches in single heads, its mean over heads and layers, and the weighted mean.

    The weighted mean is that of models with adaptive attention fusion (WeakTr).

    Args:
        images: Number of images.
        heads: (layer, head) pairs, both counted from 1. Defaults to the first head of the first, a middle and the last
            layer.
    """

    source = 'WeakTr Fig. 6 a-c, 9'

    def __init__(self, images: int = 2, heads: Optional[Sequence[Sequence[int]]] = None) -> None:
        super().__init__(images, heads)

    def request(self, model: nn.Module) -> Request:
        """Request the rows of class tokens."""
        return self.head_request(model) + Request(observations=(ClassHeadRows(), ))

    def update(self, model: nn.Module, sample: Sample, features: Features) -> None:
        """Add a row for each class of an image."""
        rows = features[ClassHeadRows()][0]
        self.add(sample, [dict(name=name, panels=self.head_panels(model, features, rows[:, :, index]))
                          for index, name in _tokens_of(sample, rows.shape[2])])


@ANALYSES.register_module(name='reference-point')
class ReferencePoint(_HeadPanels):
    """Attention of the patch at a point to all patches: shallow, deep and all layers; heads and weighted mean.

    Args:
        images: Number of images.
        point: (x, y) in [0, 1], relative to width and height.
        heads: (layer, head) pairs, both counted from 1. Defaults to the first head of the first, a middle and the last
            layer.
    """

    source = 'TransCAM Fig. 3; WeakTr Fig. 6 d-f, 9'

    def __init__(self, images: int = 3, point: tuple[float, float] = (.5, .5),
                 heads: Optional[Sequence[Sequence[int]]] = None) -> None:
        super().__init__(images, heads)
        self._rows = PointHeadRows(point=(point[0], point[1]))

    def request(self, model: nn.Module) -> Request:
        """Request the row of the patch."""
        return self.head_request(model) + Request(observations=(self._rows, ))

    def update(self, model: nn.Module, sample: Sample, features: Features) -> None:
        """Add the panels of an image."""
        rows, grid = features[self._rows][0, :, :, 0], features.layout.grid
        half = rows.shape[0] // 2
        parts = {f'layers 1-{half}': rows[:half], f'layers {half + 1}-{len(rows)}': rows[half:]}
        panels = [_panel(title, part.mean(dim=(0, 1)), grid) for title, part in parts.items()]
        panels += self.head_panels(model, features, rows)
        self.add(sample, [dict(name='', point=self._rows.point, panels=panels)])
