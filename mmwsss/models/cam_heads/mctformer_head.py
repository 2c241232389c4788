"""MCTformer's class scores and class maps: one class token per class, its attention, and a patch classifier."""

from collections.abc import Callable, Collection, Sequence
from typing import Optional

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmwsss.registry import MODELS

from ..backbones.features import Features, Observation, Request
from ..backbones.observations import ClassAttentionSum, PatchAttentionSum
from ..utils import global_weighted_rank_pool, normalize_cams, refine_with_affinity
from .base import BaseCAMHead, class_indices, select_classes

__all__ = ['MCTformerHead']

CLASS_SCORES: dict[str, Callable[['MCTformerHead', Tensor], Tensor]] = {
    'mean': lambda head, tokens: tokens.mean(dim=2),
    'max': lambda head, tokens: tokens.amax(dim=2),
    'fc': lambda head, tokens: (tokens * head.fc.weight).sum(dim=2) + head.fc.bias,
}
"""Score (B, C) of class tokens (B, C, D), every class by its own token (MCTformer, Table 7)."""

UNREFINED = {'fused': 'fused_cams', 'patchcam': 'patch_cams', 'mct': 'attention'}
FUSIONS = ('released', 'mean', 'paper', 'root')
PATCH_POOLS = {'avg': lambda maps: maps.mean(dim=(2, 3)), 'gwrp': global_weighted_rank_pool}


@MODELS.register_module()
class MCTformerHead(BaseCAMHead):
    """Heads of MCTformer-V1 and, with a patch classifier, -V2 (CVPR 2022) and MCTformer+ (arXiv 2308.03005).

    The score of a class comes from its own token (Eq. 4), in V2 a second one from the patch tokens (Eq. 5). The map of
    a class is the attention of its token to the patches in the last layers (Eq. 2), in V2 times the patch classifier's
    rectified map (Eq. 6), refined by the patches' attention among themselves (Eq. 3 and 7).

    Args:
        num_classes: C, foreground classes; the backbone has as many class tokens.
        in_channels: D, token width.
        patch_classifier: V2's 3x3 convolution on the patch tokens; without it, V1.
        class_score: ``'mean'`` over a token's channels, their ``'max'``, or a linear layer (``'fc'``) with its own row
            for every class (Table 7). V1's checkpoints hold the linear layer in any case; unused it is frozen.
        attention_type: What ``cams`` are made of: ``'fused'``, ``'patchcam'`` (V2 alone) or ``'mct'``, attention alone.
            None: fused where there is a patch classifier.
        attention_layers: K, number of last layers whose class-to-patch attention is used (Fig. 6).
        affinity_layers: Layers whose patch affinity refines ``cams``; negative indices count from the end. None: all.
            Empty: no refinement.
        fusion: ``'released'``: attention summed over layers, the factors multiplied as they are, as for the published
            numbers; ``'mean'``: attention averaged instead, also that which refines; ``'paper'``: attention averaged
            (Eq. 2), and both factors min-max normalized first, which takes the place of ReLU; ``'root'``: as
            ``'mean'``, and the square root of the product, as in MCTformer+.
        patch_pool: Score of the patch classifier's maps: their mean (``'avg'``), or ``'gwrp'``:
            :func:`~mmwsss.models.utils.global_weighted_rank_pool`, as in MCTformer+.
        init_cfg: As in mmengine's ``BaseModule``.

    Raises:
        ValueError: On an unknown choice, or one that needs the patch classifier of V2.
    """

    def __init__(self,
                 num_classes: int,
                 in_channels: int,
                 patch_classifier: bool = True,
                 class_score: str = 'mean',
                 attention_type: Optional[str] = None,
                 attention_layers: int = 3,
                 affinity_layers: Optional[Sequence[int]] = None,
                 fusion: str = 'released',
                 patch_pool: str = 'avg',
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(num_classes, init_cfg)
        attention_type = attention_type or ('fused' if patch_classifier else 'mct')
        _check_choice('class_score', class_score, CLASS_SCORES)
        _check_choice('attention_type', attention_type, UNREFINED if patch_classifier else ('mct', ))
        _check_choice('fusion', fusion, FUSIONS)
        _check_choice('patch_pool', patch_pool, PATCH_POOLS)
        if attention_layers < 1:
            raise ValueError(f'attention_layers must be at least 1, got {attention_layers}')
        self.class_score = class_score
        self.attention_type = attention_type
        self.attention_layers = attention_layers
        self.affinity_layers = None if affinity_layers is None else tuple(affinity_layers)
        self.fusion = fusion
        self.patch_pool = patch_pool
        self.patch_classifier = None
        if class_score == 'fc' or not patch_classifier:
            self.fc = nn.Linear(in_channels, num_classes).requires_grad_(class_score == 'fc')
        if patch_classifier:
            self.patch_classifier = nn.Conv2d(in_channels, num_classes, kernel_size=3, padding=1)

    @property
    def map_names(self) -> tuple[str, ...]:
        """All maps that can be asked for; ``refined_*`` are those of Table 5 with patch affinity."""
        bases = ('attention', 'patch_cams', 'fused_cams') if self.patch_classifier else ('attention', )
        return ('cams', *bases, *(f'refined_{name}' for name in bases))

    @property
    def default_maps(self) -> tuple[str, ...]:
        """All maps but the ``refined_*``, of which ``cams`` is one."""
        return tuple(name for name in self.map_names if not name.startswith('refined_'))

    def request(self, names: Sequence[str] = (), classes: Optional[Tensor] = None) -> Request:
        """Request class tokens, patch tokens in V2, and attention where a map is made of it; see the base class."""
        self.check_maps(names)
        plans = [self._plan(name) for name in names]
        observations: list[Observation] = []
        if any(base != 'patch_cams' for base, _ in plans):
            observations.append(self._class_attention(classes))
        if any(refined for _, refined in plans):
            observations.append(self._affinity)
        return Request(observations=tuple(observations), maps=self.patch_classifier is not None)

    def forward(self, features: Features) -> dict[str, Tensor]:
        """Return ``logits`` of the class tokens (Eq. 4) and, with V2, ``patch_logits`` (Eq. 5), each (B, C)."""
        scores = {'logits': CLASS_SCORES[self.class_score](self, features.class_tokens)}
        if self.patch_classifier is not None:
            scores['patch_logits'] = PATCH_POOLS[self.patch_pool](features.once(self._patch_maps))
        return scores

    def maps(self, features: Features, names: Sequence[str], classes: Optional[Tensor] = None) -> dict[str, Tensor]:
        """Compute the maps listed in ``names``; see the base class.

        Returns:
            Of (B, C or P, h, w): ``attention`` before refinement, ``patch_cams`` after ReLU, ``fused_cams`` their
            product, ``cams`` what ``attention_type`` says, refined.
        """
        plans = {name: self._plan(name) for name in names}
        unrefined = {base: self._unrefined(base, features, classes) for base, _ in plans.values()}
        return {name: self._refined(unrefined[base], features) if refined else unrefined[base]
                for name, (base, refined) in plans.items()}

    @property
    def _affinity(self) -> PatchAttentionSum:
        return PatchAttentionSum(layers=self.affinity_layers or None)

    def _class_attention(self, classes: Optional[Tensor]) -> ClassAttentionSum:
        return ClassAttentionSum(layers=tuple(range(-self.attention_layers, 0)), classes=class_indices(classes))

    def _plan(self, name: str) -> tuple[str, bool]:
        """Return which unrefined map a map is made of, and whether it is refined."""
        if name == 'cams':
            return UNREFINED[self.attention_type], self.affinity_layers != ()
        return name.removeprefix('refined_'), name.startswith('refined_')

    def _patch_maps(self, features: Features) -> Tensor:
        """Compute the signed maps (B, C, h, w) of the patch classifier."""
        return self.patch_classifier(features.maps[-1])

    def _unrefined(self, name: str, features: Features, classes: Optional[Tensor]) -> Tensor:
        """Compute a map before refinement (MCTformer, Eq. 2 and 6)."""
        if name == 'patch_cams':
            return F.relu(select_classes(features.once(self._patch_maps), classes))
        attention = features[self._class_attention(classes)].unflatten(2, features.grid)
        attention = attention if self.fusion == 'released' else attention / self.attention_layers
        if name == 'attention':
            return attention
        signed = select_classes(features.once(self._patch_maps), classes)
        if self.fusion == 'paper':
            return torch.mul(*(normalize_cams(factor, 'minmax', eps=1e-8) for factor in (attention, signed)))
        product = attention * F.relu(signed)
        return product.sqrt() if self.fusion == 'root' else product

    def _refined(self, maps: Tensor, features: Features) -> Tensor:
        """Refine maps by affinity summed over layers (MCTformer, Eq. 3 and 7)."""
        maps = refine_with_affinity(maps, features[self._affinity])
        if self.fusion == 'released':
            return maps
        return maps / len(features.layout.layer_indices(self._affinity.layers))


def _check_choice(argument: str, value: str, allowed: Collection[str]) -> None:
    if value not in allowed:
        raise ValueError(f'{argument} must be one of {sorted(allowed)}, got {value!r}')
