"""TransCAM's heads (JVCIR 2023): classifiers of both Conformer branches, and maps refined with the attention."""

from collections.abc import Iterable, Sequence
from typing import Optional, Union

from mmengine.model import BaseModule
from mmengine.model.weight_init import trunc_normal_init
from torch import Tensor, nn
from torch.nn import functional as F

from mmwsss.registry import MODELS

from ..backbones import AttentionConformer
from ..utils import AttentionSums, refine_with_affinity

__all__ = ['TransCAMHead']

REFINEMENTS = ('transcam', 'attnagg', 'clsattn', 'convcam')
HALVES = ('all', 'shallow', 'deep')


@MODELS.register_module()
class TransCAMHead(BaseModule):
    """A 3x3 convolution on the CNN branch and a linear layer on the class token.

    Both have a channel for background in front of the classes', as published; it is neither trained, apart from weight
    decay, nor given out. Class maps are those of the convolution, before their spatial mean; with A the
    head-averaged attention summed over blocks, rows being queries, ``cams`` are (TransCAM, Eq. 5, 10 and 11):

    * ``'transcam'``: M'[i] = sum_j A[i, j] M[j]: every token collects;
    * ``'attnagg'``: M'[i] = sum_j A[j, i] M[j]: every token hands out;
    * ``'clsattn'``: M'[i] = A[class token, i] M[i];
    * ``'convcam'``: M' = M.

    Args:
        num_classes: C, foreground classes.
        conv_channels: Channels of the CNN branch's last map.
        token_channels: D, token width.
        refinement: One of the above.
        blocks: Transformer blocks whose attention is used: ``'all'``, ``'shallow'`` (first half), ``'deep'`` (second
            half), or their numbers, counted from 1 as in the paper.
        branch_weights: w_conv and w_trans, weights of the branches' scores in their sum (Fig. 4). The paper says 0.5
            and 0.5, the published weights were trained with 1 and 1.

    Raises:
        ValueError: On an unknown refinement or choice of blocks.
    """

    map_names = ('cams', 'conv_cams', *(f'{way}_{blocks}' for way in REFINEMENTS[:3] for blocks in HALVES))
    """All maps that can be asked for; such as ``transcam_deep`` are those of Tables 2 and 3."""

    def __init__(self,
                 num_classes: int,
                 conv_channels: int,
                 token_channels: int,
                 refinement: str = 'transcam',
                 blocks: Union[str, Sequence[int]] = 'all',
                 branch_weights: tuple[float, float] = (1., 1.),
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        if refinement not in REFINEMENTS:
            raise ValueError(f'refinement must be one of {REFINEMENTS}, got {refinement!r}')
        if (blocks not in HALVES) if isinstance(blocks, str) else not len(blocks):
            raise ValueError(f'blocks must be one of {HALVES} or a list of block numbers, got {blocks!r}')
        self.num_classes = num_classes
        self.refinement = refinement
        self.blocks = blocks
        self.branch_weights = tuple(branch_weights)
        self.conv_cls_head = nn.Conv2d(conv_channels, 1 + num_classes, kernel_size=3, padding=1)
        self.trans_cls_head = nn.Linear(token_channels, 1 + num_classes)

    def init_weights(self) -> None:
        """Draw the weights as the authors do: truncated normal of std 0.02 (linear), Kaiming (convolution)."""
        super().init_weights()
        trunc_normal_init(self.trans_cls_head, std=0.02)
        nn.init.kaiming_normal_(self.conv_cls_head.weight, mode='fan_out', nonlinearity='relu')

    def forward(self, backbone: AttentionConformer, inputs: Tensor) -> dict[str, Tensor]:
        """Score the classes of images (B, 3, H, W): ``logits`` (B, C), the weighted sum of both branches."""
        tokens = backbone.forward_tokens(inputs)
        scores = self._scores(self._conv_maps(tokens.features), tokens.class_tokens)
        return {'logits': scores['logits']}

    def extract(self,
                backbone: AttentionConformer,
                inputs: Tensor,
                names: Optional[Sequence[str]] = None,
                classes: Optional[Tensor] = None) -> dict[str, Tensor]:
        """Give scores and maps of images, computing what they need and nothing else.

        Args:
            backbone: The Conformer.
            inputs: (B, 3, H, W) normalised images.
            names: Maps of :attr:`map_names`; None for ``cams`` and ``conv_cams``.
            classes: (P,) indices of the classes whose maps are wanted; None for all.

        Returns:
            ``logits``, ``conv_logits`` and ``trans_logits`` (B, C), the latter two unweighted; maps (B, C or P, h, w),
            signed: ``conv_cams``, the CNN branch's, ``cams``, these refined as configured, or in another way.

        Raises:
            ValueError: If there is no such map, or a block number exceeds the backbone's depth.
        """
        names = self.map_names[:2] if names is None else names
        plans = {name: self._plan(name, backbone.num_layers) for name in names}
        sums = _SumsByBlocks(plans.values())
        tokens = backbone.forward_tokens(inputs, attention=sums.layers, attention_fn=sums)
        all_maps = self._conv_maps(tokens.features)
        scores = self._scores(all_maps, tokens.class_tokens)
        maps = all_maps if classes is None else all_maps[:, classes]
        return {**scores, **{name: sums.refine(maps, *plan) for name, plan in plans.items()}}

    def _conv_maps(self, features: Tensor) -> Tensor:
        """Signed maps (B, C, h, w) of the classes, bias included."""
        conv = self.conv_cls_head
        return F.conv2d(features, conv.weight[1:], conv.bias[1:], padding=conv.padding)

    def _scores(self, conv_maps: Tensor, class_tokens: Tensor) -> dict[str, Tensor]:
        conv = conv_maps.mean(dim=(2, 3))
        trans = self.trans_cls_head(class_tokens[:, 0])[:, 1:]
        conv_weight, trans_weight = self.branch_weights
        return {'logits': conv_weight * conv + trans_weight * trans, 'conv_logits': conv, 'trans_logits': trans}

    def _plan(self, name: str, depth: int) -> tuple[str, tuple[int, ...]]:
        """How a map is refined, and with which blocks, as indices from 0."""
        if name not in self.map_names:
            raise ValueError(f'there is no map {name!r}, the head gives {", ".join(self.map_names)}')
        way, blocks = self.refinement, self.blocks
        if name != 'cams':
            way, blocks = name.split('_')
        if way in ('conv', 'convcam'):
            return 'convcam', ()
        if isinstance(blocks, str):
            half = depth // 2
            return way, tuple({'all': range(depth), 'shallow': range(half), 'deep': range(half, depth)}[blocks])
        wrong = [number for number in blocks if not 1 <= number <= depth]
        if wrong:
            raise ValueError(f'blocks are numbered from 1 to {depth}, got {wrong}')
        return way, tuple(number - 1 for number in blocks)


class _SumsByBlocks:
    """Adds up attention for every choice of blocks that the plans of maps name; an ``attention_fn``."""

    def __init__(self, plans: Iterable[tuple[str, tuple[int, ...]]]) -> None:
        rows, squares = set(), set()
        for way, blocks in plans:
            (rows if way == 'clsattn' else squares).add(blocks)
        self._sums = {blocks: AttentionSums(1, blocks if blocks in rows else (), blocks if blocks in squares else ())
                      for blocks in rows | squares}
        self.layers = sorted({layer for blocks in self._sums for layer in blocks})

    def __call__(self, layer: int, attention: Tensor) -> None:
        for sums in self._sums.values():
            sums(layer, attention)

    def add_head(self, layer: int, attention: Tensor, num_heads: int) -> None:
        for sums in self._sums.values():
            sums.add_head(layer, attention, num_heads)

    def refine(self, maps: Tensor, way: str, blocks: tuple[int, ...]) -> Tensor:
        """Refine maps (B, C, h, w) as :class:`TransCAMHead` describes."""
        if way == 'convcam':
            return maps
        sums = self._sums[blocks]
        if way == 'clsattn':
            return maps * sums.class_to_patch.unflatten(2, maps.shape[2:])
        affinity = sums.patch_to_patch
        return refine_with_affinity(maps, affinity.mT if way == 'attnagg' else affinity)
