"""WeakTr's class scores and class maps: coarse maps of a patch classifier, refined by adaptively fused attention."""

from collections.abc import Sequence
from typing import Optional

import torch
from torch import Tensor
from torch.nn import functional as F

from mmwsss.registry import MODELS

from ..backbones import AttentionViT
from ..backbones.attention import LayerTrace
from ..utils import WeightedAttention, at_least_single, refine_with_affinity, stack_heads
from .attention_fusion import AdaptiveAttentionFusion
from .mctformer_head import MCTformerHead

__all__ = ['WeakTrHead']


@MODELS.register_module()
class WeakTrHead(MCTformerHead):
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
        weights, pool_source, pool, reduction, feat_reduction: See :class:`AdaptiveAttentionFusion`.
        attention_type: What is refined into ``cams``: ``'fused'``, the product; ``'patchcam'``, the rectified coarse
            maps; ``'mct'``, the class-to-patch attention. Training takes the product in any case.

    Raises:
        ValueError: On an unknown choice.
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
        super().__init__(num_classes, in_channels, attention_type=attention_type, init_cfg=init_cfg)
        self.attention_fusion = AdaptiveAttentionFusion(
            num_layers, num_heads, in_channels // num_heads, weights, pool_source, pool, reduction, feat_reduction)

    def forward(self, backbone: AttentionViT, inputs: Tensor) -> dict[str, Tensor]:
        """Score the classes of images (B, 3, H, W): ``logits``, ``coarse_logits``, ``fine_logits``, each (B, C)."""
        self._check(backbone)
        parts = _HeadParts(self.attention_fusion, self.num_classes)
        tokens = backbone.forward_tokens(inputs, trace_fn=parts)
        coarse = self._patch_maps(tokens.patch_tokens)
        weights = self._weights(tokens.class_tokens.shape[1] + coarse[0, 0].numel(), parts.pooled)
        scores = self._two_scores(tokens.class_tokens, coarse)
        with torch.autocast(inputs.device.type, enabled=False):  # products of many small numbers
            cross, columns = parts.weighted(weights)
            return {**scores, 'fine_logits': _fine_logits(columns, cross, coarse)}

    @torch.no_grad()
    def extract(self,
                backbone: AttentionViT,
                inputs: Tensor,
                names: Optional[Sequence[str]] = None,
                classes: Optional[Tensor] = None) -> dict[str, Tensor]:
        """Give scores and maps of images, computing what they need and nothing else; without gradient.

        Args:
            backbone: With C class tokens.
            inputs: (B, 3, H, W) normalised images.
            names: Maps of :attr:`map_names`; None: all.
            classes: (P,) indices of the classes whose maps are wanted; None for all.

        Returns:
            The scores of :meth:`forward` (``fine_logits`` only where a map needs attention), and maps
            (B, C or P, h, w): ``coarse_cams`` signed, ``cross_attention`` of class tokens to patches, ``fused_cams``
            the product of what is positive with it, ``cams`` fine.

        Raises:
            ValueError: On an unknown name, or a backbone of other layers or heads.
        """
        self._check(backbone)
        names = self.map_names if names is None else names
        for name in names:
            if name not in self.map_names:
                raise ValueError(f'map must be one of {list(self.map_names)}, got {name!r}')
        if set(names) == {'coarse_cams'}:
            tokens, fused = backbone.forward_tokens(inputs), None
        else:
            tokens, fused = self._fused_attention(backbone, inputs)
        coarse = self._patch_maps(tokens.patch_tokens)
        scores = self._two_scores(tokens.class_tokens, coarse)
        if fused is None:
            maps = {}
        else:
            to_patches = fused[:, :, self.num_classes:]
            cross, patches = to_patches[:, :self.num_classes], to_patches[:, self.num_classes:]
            scores['fine_logits'] = _fine_logits(patches.mean(dim=1), cross, coarse)
            maps = {'cross_attention': _chosen(cross, classes).unflatten(2, coarse.shape[2:])}
        maps['coarse_cams'] = _chosen(coarse, classes)
        if 'cross_attention' in maps:
            maps['fused_cams'] = F.relu(maps['coarse_cams']) * maps['cross_attention']
        if 'cams' in names:
            maps['cams'] = refine_with_affinity(self._refinable(maps), patches)
        return {**scores, **{name: maps[name] for name in names}}

    def _check(self, backbone: AttentionViT) -> None:
        fusion = self.attention_fusion
        found = backbone.num_layers, backbone.layers[0].attn.num_heads
        if found != (fusion.num_layers, fusion.num_heads):
            raise ValueError(f'the backbone has {found[0]} layers of {found[1]} heads: set num_layers and num_heads of '
                             f'WeakTrHead, which are {fusion.num_layers} and {fusion.num_heads}')

    def _two_scores(self, class_tokens: Tensor, coarse: Tensor) -> dict[str, Tensor]:
        scores = self._scores(class_tokens, None, coarse)
        return {'logits': scores['logits'], 'coarse_logits': scores['patch_logits']}

    def _weights(self, num_tokens: int, pooled: Sequence[Tensor]) -> Tensor:
        static = self.attention_fusion.static_weights(num_tokens)
        return self.attention_fusion(stack_heads(pooled)) if static is None else static

    def _fused_attention(self, backbone: AttentionViT, inputs: Tensor) -> tuple:
        """Run the backbone; give its tokens and the fused map (B, T, T).

        Weights known beforehand are applied to each layer's attention as it comes. Others depend on all layers: then
        queries and keys are kept, which take less memory than the maps, and attention is computed again.
        """
        fusion = self.attention_fusion
        height, width = backbone.token_grid(inputs.shape[-2:])
        weights = fusion.static_weights(self.num_classes + height * width)
        if weights is not None:
            sums = WeightedAttention(weights.to(inputs.device), fusion.num_layers)
            tokens = backbone.forward_tokens(inputs, attention=range(fusion.num_layers), attention_fn=sums)
            return tokens, sums.fused
        traces, pooled = [], []

        def keep(layer: int, trace: LayerTrace) -> None:
            pooled.append(fusion.pool_layer(trace))
            traces.append(trace._replace(update=None, tokens=None))

        tokens = backbone.forward_tokens(inputs, trace_fn=keep)
        sums = WeightedAttention(fusion(stack_heads(pooled)), fusion.num_layers)
        for layer, trace in enumerate(traces):
            sums(layer, trace.attention())
        return tokens, sums.fused

    def _refinable(self, maps: dict[str, Tensor]) -> Tensor:
        if self.attention_type == 'patchcam':
            return F.relu(maps['coarse_cams'])
        return maps['cross_attention' if self.attention_type == 'mct' else 'fused_cams']


class _HeadParts:
    """Keeps of every map what the score of the fine maps needs; a ``trace_fn`` of :class:`AttentionViT`.

    The spatial mean of the fine map is ``sum_j mean_i(P[i, j]) * M[j]``: of a patch-to-patch map its column means are
    enough, N numbers instead of N * N.
    """

    def __init__(self, fusion: AdaptiveAttentionFusion, num_classes: int) -> None:
        self._fusion = fusion
        self._num_classes = num_classes
        self._dynamic = fusion.static_weights(1) is None
        self.pooled: list[Tensor] = []
        self._cross: list[Tensor] = []
        self._columns: list[Tensor] = []

    @torch.no_grad()
    def __call__(self, layer: int, trace: LayerTrace) -> None:
        start = self._num_classes
        attention = at_least_single(trace.attention())
        if self._dynamic:
            self.pooled.append(self._fusion.pool_layer(trace, attention))
        self._cross.append(attention[:, :, :start, start:].clone())
        self._columns.append(attention[:, :, start:, start:].mean(dim=2))

    def weighted(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Fuse with weights (B or 1, H * L): class-to-patch attention (B, C, N) and column means (B, N)."""
        first, layers = self._cross[0], len(self._cross)
        weights = (weights.to(first) / weights.shape[1]).expand(len(first), -1).unflatten(1, (-1, layers))
        cross = sum(torch.einsum('bhcn,bh->bcn', part, weights[:, :, i]) for i, part in enumerate(self._cross))
        columns = sum(torch.einsum('bhn,bh->bn', part, weights[:, :, i]) for i, part in enumerate(self._columns))
        return cross, columns


def _fine_logits(columns: Tensor, cross: Tensor, coarse: Tensor) -> Tensor:
    """Average the fine maps over space: (B, C) from column means (B, N), attention (B, C, N), coarse maps."""
    return (columns[:, None] * cross * F.relu(coarse.detach()).flatten(2)).sum(dim=2)


def _chosen(maps: Tensor, classes: Optional[Tensor]) -> Tensor:
    return maps if classes is None else maps[:, classes]
