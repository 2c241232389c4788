"""TransCAM's heads (WACV 2023): classifiers of both Conformer branches, and maps refined with the attention."""

from collections.abc import Sequence
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

    map_names = ('cams', 'conv_cams')

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
            names: Maps of ``map_names``; None for all.
            classes: (P,) indices of the classes whose maps are wanted; None for all.

        Returns:
            ``logits``, ``conv_logits`` and ``trans_logits`` (B, C), the latter two unweighted; maps (B, C or P, h, w),
            signed: ``conv_cams``, the CNN branch's, and ``cams``, these refined.

        Raises:
            ValueError: If a block number exceeds the backbone's depth.
        """
        names = self.map_names if names is None else names
        blocks = self._layers(backbone.num_layers) if 'cams' in names and self.refinement != 'convcam' else ()
        sums = AttentionSums(1, **{'class_layers' if self.refinement == 'clsattn' else 'patch_layers': blocks})
        tokens = backbone.forward_tokens(inputs, attention=sums.layers, attention_fn=sums)
        all_maps = self._conv_maps(tokens.features)
        scores = self._scores(all_maps, tokens.class_tokens)
        maps = {'conv_cams': all_maps if classes is None else all_maps[:, classes]}
        if 'cams' in names:
            maps['cams'] = self._refine(maps['conv_cams'], sums)
        return {**scores, **{name: maps[name] for name in names}}

    def _conv_maps(self, features: Tensor) -> Tensor:
        """Signed maps (B, C, h, w) of the classes, bias included."""
        conv = self.conv_cls_head
        return F.conv2d(features, conv.weight[1:], conv.bias[1:], padding=conv.padding)

    def _scores(self, conv_maps: Tensor, class_tokens: Tensor) -> dict[str, Tensor]:
        conv = conv_maps.mean(dim=(2, 3))
        trans = self.trans_cls_head(class_tokens[:, 0])[:, 1:]
        conv_weight, trans_weight = self.branch_weights
        return {'logits': conv_weight * conv + trans_weight * trans, 'conv_logits': conv, 'trans_logits': trans}

    def _refine(self, maps: Tensor, sums: AttentionSums) -> Tensor:
        if self.refinement == 'convcam':
            return maps
        if self.refinement == 'clsattn':
            return maps * sums.class_to_patch.unflatten(2, maps.shape[2:])
        affinity = sums.patch_to_patch
        return refine_with_affinity(maps, affinity.mT if self.refinement == 'attnagg' else affinity)

    def _layers(self, depth: int) -> list[int]:
        """The blocks as indices from 0."""
        if isinstance(self.blocks, str):
            half = depth // 2
            return list({'all': range(depth), 'shallow': range(half), 'deep': range(half, depth)}[self.blocks])
        wrong = [number for number in self.blocks if not 1 <= number <= depth]
        if wrong:
            raise ValueError(f'blocks are numbered from 1 to {depth}, got {wrong}')
        return [number - 1 for number in self.blocks]
