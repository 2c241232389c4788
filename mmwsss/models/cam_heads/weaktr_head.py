"""WeakTr's class scores and class maps: coarse maps of a patch classifier, refined by adaptively fused attention."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Optional

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmwsss.registry import MODELS

from ..backbones.attention import HeadMaps, head_chunk, iterate_head_maps
from ..backbones.features import Features, Observation, Reads, Request, TokenLayout
from ..backbones.observations import QueryKeys
from ..utils import at_least_single, refine_with_affinity
from .attention_fusion import AdaptiveAttentionFusion
from .base import BaseCAMHead, select_classes

__all__ = ['FusedAttention', 'WeakTrHead']

UNREFINED = {'fused': 'fused_cams', 'patchcam': 'coarse_cams', 'mct': 'cross_attention'}


@MODELS.register_module()
class WeakTrHead(BaseCAMHead):
    """Head of WeakTr's first stage (arXiv 2304.01184): the scores of MCTformer-V2 and a third, of the fine maps.

    All attention maps are fused, each with its own weight (:class:`AdaptiveAttentionFusion`). The class-to-patch part
    of the fused map multiplies the rectified coarse maps, its patch-to-patch part refines the product (Eq. 4 to 6).
    Attention, coarse maps and pooled features enter the fine maps without gradient: their score trains the fusion and
    nothing else, the other two scores train everything but the fusion.

    Args:
        num_classes: C, foreground classes; the backbone has as many class tokens.
        in_channels: D, token width.
        num_layers: L, the backbone's.
        num_heads: H, the backbone's.
        weights: See :class:`AdaptiveAttentionFusion`, as for the next four.
        pool_source: See there.
        pool: See there.
        reduction: See there.
        feat_reduction: See there.
        attention_type: What is refined into ``cams``: ``'fused'``, the product; ``'patchcam'``, the rectified coarse
            maps; ``'mct'``, the class-to-patch attention. Training takes the product in any case.
        init_cfg: As in mmengine's ``BaseModule``.

    Raises:
        ValueError: On an unknown choice; when run, if the backbone has other layers or heads.
    """

    map_names = ('cams', 'coarse_cams', 'cross_attention', 'fused_cams')

    def __init__(self,
                 num_classes: int,
                 in_channels: int,
                 num_layers: int = 12,
                 num_heads: int = 6,
                 weights: str = 'adaptive',
                 pool_source: str = 'attention',
                 pool: str = 'avg',
                 reduction: float = 4,
                 feat_reduction: float = 8,
                 attention_type: str = 'fused',
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(num_classes, init_cfg)
        if attention_type not in UNREFINED:
            raise ValueError(f'attention_type must be one of {sorted(UNREFINED)}, got {attention_type!r}')
        self.attention_type = attention_type
        self.patch_classifier = nn.Conv2d(in_channels, num_classes, kernel_size=3, padding=1)
        self.attention_fusion = AdaptiveAttentionFusion(
            num_layers, num_heads, in_channels // num_heads, weights, pool_source, pool, reduction, feat_reduction)

    def request(self, names: Sequence[str] = (), classes: Optional[Tensor] = None) -> Request:
        """Request tokens, and what training or the maps need of all heads' attention; see the base class."""
        self.check_maps(names)
        if not names:
            observations: tuple[Observation, ...] = (HeadParts(), )
        elif set(names) == {'coarse_cams'}:
            return Request()
        else:
            static = self.attention_fusion.static
            observations = (FusedAttention(fusion=self.attention_fusion) if static else QueryKeys(), )
        pooling = self.attention_fusion.pooling
        return Request(observations=observations if pooling is None else (*observations, pooling))

    def forward(self, features: Features) -> dict[str, Tensor]:
        """Score the classes of images.

        Returns:
            ``logits`` of the class tokens, ``coarse_logits`` and, if attention was requested, ``fine_logits``, each
            (B, C).
        """
        coarse = features.once(self._coarse_maps)
        scores = {'logits': features.class_tokens.mean(dim=2), 'coarse_logits': coarse.mean(dim=(2, 3))}
        if HeadParts() in features:
            weights = self._weights(features)
            with torch.autocast(coarse.device.type, enabled=False):  # products of many small numbers
                cross, columns = _weighted_parts(features[HeadParts()], weights)
                scores['fine_logits'] = _fine_logits(columns, cross, coarse)
        elif self._has_attention(features):
            cross, patches = features.once(self._fused_parts)
            scores['fine_logits'] = _fine_logits(patches.mean(dim=1), cross, coarse)
        return scores

    @torch.no_grad()
    def maps(self, features: Features, names: Sequence[str], classes: Optional[Tensor] = None) -> dict[str, Tensor]:
        """Compute the maps listed in ``names``, without gradient; see the base class.

        Returns:
            Of (B, C or P, h, w): ``coarse_cams`` signed, ``cross_attention`` of class tokens to patches, ``fused_cams``
            the product of what is positive with it, ``cams`` fine.
        """
        maps = {'coarse_cams': select_classes(features.once(self._coarse_maps), classes)}
        if set(names) - {'coarse_cams'}:
            cross, patches = features.once(self._fused_parts)
            maps['cross_attention'] = select_classes(cross, classes).unflatten(2, features.grid)
            maps['fused_cams'] = F.relu(maps['coarse_cams']) * maps['cross_attention']
        if 'cams' in names:
            unrefined = maps[UNREFINED[self.attention_type]]
            maps['cams'] = refine_with_affinity(unrefined.relu(), patches)
        return {name: maps[name] for name in names}

    def _coarse_maps(self, features: Features) -> Tensor:
        """Compute the signed maps (B, C, h, w) of the patch classifier."""
        return self.patch_classifier(features.maps[-1])

    def _weights(self, features: Features) -> Tensor:
        """Return the weights (B or 1, H * L) of all heads, with gradient for the fusion."""
        self.attention_fusion.check(features.layout)
        static = self.attention_fusion.static_weights(features.layout.num_tokens)
        return self.attention_fusion(features[self.attention_fusion.pooling]) if static is None else static

    def _has_attention(self, features: Features) -> bool:
        return QueryKeys() in features or FusedAttention(fusion=self.attention_fusion) in features

    @torch.no_grad()
    def _fused_parts(self, features: Features) -> tuple[Tensor, Tensor]:
        """Return the class-to-patch (B, C, N) and patch-to-patch part (B, N, N) of the fused map.

        Weights that depend on all layers are known only at the end: queries and keys were kept, which take less memory
        than the maps, and attention is computed again.
        """
        start = features.layout.num_class_tokens
        if FusedAttention(fusion=self.attention_fusion) in features:
            fused = features[FusedAttention(fusion=self.attention_fusion)]
        else:
            fused = _replay(features[QueryKeys()], self._weights(features))
        return fused[:, :start, start:], fused[:, start:, start:]


@dataclass(frozen=True)
class HeadParts(Observation):
    """What the score of the fine maps needs of every head's attention, in single precision or better.

    The spatial mean of the fine map is ``sum_j mean_i(P[i, j]) * M[j]``: of a patch-to-patch map its column means are
    enough, N numbers instead of N * N. Both parts are linear in the weights of the heads. The result is a list of
    layers, each with the class-to-patch part (B, H, M, N) and the column means (B, H, N).
    """

    reads: ClassVar[Reads] = 'heads'

    def init(self, layout: TokenLayout) -> tuple:
        """Return the number of class tokens, and no layer yet."""
        return layout.num_class_tokens, {}

    def update(self, state: tuple, layer: int, value: HeadMaps) -> tuple:
        """Keep the parts of some heads."""
        start, layers = state
        maps = at_least_single(value.maps)
        parts = maps[:, :, :start, start:].clone(), maps[:, :, start:, start:].mean(dim=2)
        layers.setdefault(layer, []).append(parts)
        return state

    def finish(self, state: tuple) -> list[tuple[Tensor, Tensor]]:
        """Join the heads of each layer."""
        return [tuple(torch.cat(parts, dim=1) for parts in zip(*heads)) for heads in state[1].values()]


@dataclass(frozen=True)
class FusedAttention(Observation):
    """All attention maps fused by weights that are known beforehand: (B, T, T) (WeakTr, Eq. 4 and 5).

    A single map is kept: the sum over heads and layers of weight times attention, divided by their number and not by
    the sum of weights.

    Attributes:
        fusion: Its ``static_weights`` are the weights.
    """

    reads: ClassVar[Reads] = 'heads'
    fusion: Optional[AdaptiveAttentionFusion] = None

    @torch.no_grad()
    def init(self, layout: TokenLayout) -> tuple:
        """Return the weights, and no sum yet."""
        self.fusion.check(layout)
        return _by_layer(self.fusion.static_weights(layout.num_tokens), layout.num_layers), None

    def update(self, state: tuple, layer: int, value: HeadMaps) -> tuple:
        """Add some heads of a layer."""
        weights, fused = state
        return weights, _add_heads(fused, weights[:, :, layer], value)

    def finish(self, state: tuple) -> Tensor:
        """Return the sum."""
        return state[1]


def _by_layer(weights: Tensor, num_layers: int) -> Tensor:
    """Reshape weights (B or 1, H * L), divided by their number, to (B or 1, H, L)."""
    return weights.unflatten(1, (-1, num_layers)) / weights.shape[1]


def _add_heads(fused: Optional[Tensor], weights: Tensor, heads: HeadMaps) -> Tensor:
    """Add maps of heads, weighted by (B or 1, H), to a sum (B, T, T)."""
    maps = at_least_single(heads.maps)
    chosen = weights[:, heads.first:heads.first + maps.shape[1]].to(maps)
    if maps.shape[1] == 1:
        weight = chosen[:, :, None]
        return weight * maps[:, 0] if fused is None else fused.addcmul_(maps[:, 0], weight)
    with torch.autocast(maps.device.type, enabled=False):
        part = torch.bmm(chosen[:, None].expand(maps.shape[0], -1, -1), maps.flatten(2)).view_as(maps[:, 0])
    return part if fused is None else fused.add_(part)


def _replay(layers: Sequence, weights: Tensor) -> Tensor:
    """Compute attention again from queries and keys, and fuse it: (B, T, T)."""
    weights, fused = _by_layer(weights, len(layers)), None
    for index, (query, key) in enumerate(layers):
        for heads in iterate_head_maps(query, key, head_chunk(query, query.shape[1])):
            fused = _add_heads(fused, weights[:, :, index], heads)
            del heads
    return fused


def _weighted_parts(parts: Sequence[tuple[Tensor, Tensor]], weights: Tensor) -> tuple[Tensor, Tensor]:
    """Fuse with weights (B or 1, H * L): class-to-patch attention (B, C, N) and column means (B, N)."""
    first = parts[0][0]
    weights = _by_layer(weights.to(first), len(parts)).expand(first.shape[0], -1, -1)
    cross = sum(torch.einsum('bhcn,bh->bcn', part, weights[:, :, i]) for i, (part, _) in enumerate(parts))
    columns = sum(torch.einsum('bhn,bh->bn', part, weights[:, :, i]) for i, (_, part) in enumerate(parts))
    return cross, columns


def _fine_logits(columns: Tensor, cross: Tensor, coarse: Tensor) -> Tensor:
    """Average the fine maps over space: (B, C) from column means (B, N), attention (B, C, N), coarse maps."""
    return (columns[:, None] * cross * F.relu(coarse.detach()).flatten(2)).sum(dim=2)
