"""AReAM's class scores and class maps: a class token per class, a patch classifier, and averages over layers."""

from collections.abc import Sequence
from typing import Optional

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmwsss.registry import MODELS

from ..backbones.features import Features, Observation, Request
from ..backbones.observations import ClassAttentionSum, PatchAttention, PatchAttentionSum
from ..utils import global_weighted_rank_pool, refine_with_affinity
from .base import BaseCAMHead, class_indices, select_classes

__all__ = ['AReAMHead']


@MODELS.register_module()
class AReAMHead(BaseCAMHead):
    """Head of AReAM (arXiv 2305.03112).

    ``raw_cams`` are the rectified maps of the patch classifier times the class tokens' attention, averaged over the
    last layers; ``cams`` are these refined by the patches' attention, averaged over all layers. Which layers can be
    trusted is learned in training (:class:`AffinityReactivation`); maps are made without weights.

    Args:
        num_classes: C, foreground classes; the backbone has as many class tokens.
        in_channels: D, token width.
        attention_layers: Number of last layers whose class-to-patch attention is used.
        affinity_layers: Layers whose patch affinity refines ``cams``; negative indices count from the end. None: all.
            Empty: no refinement.
        fuse_sqrt: Take the square root of the product, as MCTformer+ does.
        patch_pool: Score of the patch classifier's maps: their mean (``'avg'``), or ``'gwrp'``:
            :func:`global_weighted_rank_pool`, as in MCTformer+.
        num_layers: L, layers of the backbone, of which :attr:`map_names` has maps for the paper's tables.
        init_cfg: As in mmengine's ``BaseModule``.

    Raises:
        ValueError: On an unknown choice; in :meth:`maps`, if maps of layers are wanted and there are not as many.
    """

    default_maps = ('cams', 'raw_cams', 'patch_cams')

    def __init__(self, num_classes: int, in_channels: int, attention_layers: int = 3,
                 affinity_layers: Optional[Sequence[int]] = None, fuse_sqrt: bool = False, patch_pool: str = 'avg',
                 num_layers: int = 12, init_cfg: Optional[dict] = None) -> None:
        super().__init__(num_classes, init_cfg)
        if patch_pool not in ('avg', 'gwrp'):
            raise ValueError(f"patch_pool must be 'avg' or 'gwrp', got {patch_pool!r}")
        if attention_layers < 1:
            raise ValueError(f'attention_layers must be at least 1, got {attention_layers}')
        self.attention_layers = attention_layers
        self.refine = affinity_layers is None or len(affinity_layers) > 0
        self._affinity = PatchAttentionSum(layers=tuple(affinity_layers) if affinity_layers else None)
        self.fuse_sqrt = fuse_sqrt
        self.patch_pool = patch_pool
        self.num_layers = num_layers
        self.patch_classifier = nn.Conv2d(in_channels, num_classes, kernel_size=3, padding=1)

    @property
    def map_names(self) -> tuple[str, ...]:
        """All maps that can be asked for.

        ``attention`` of the class tokens alone; ``refined_*``, refined as ``cams`` are; ``layer_1`` to ``layer_L``, the
        raw CAM refined by one layer alone (Figs. 1 and 6); ``first_1`` to ``first_L``, refined by the average of the
        first layers (Table III).
        """
        refined = ('refined_attention', 'refined_patch_cams')
        return (*self.default_maps, 'attention', *refined, *self._by_layer())

    def request(self, names: Sequence[str] = (), classes: Optional[Tensor] = None) -> Request:
        """Request class and patch tokens, and attention where a map is made of it; see the base class."""
        self.check_maps(names)
        observations: list[Observation] = []
        if set(names) - {'patch_cams', 'refined_patch_cams'}:
            observations.append(self._class_attention(classes))
        if any(self._refined_from(name) for name in names):
            observations.append(self._affinity)
        if set(names) & set(self._by_layer()):
            observations.append(PatchAttention())
        return Request(observations=tuple(observations))

    def forward(self, features: Features) -> dict[str, Tensor]:
        """Return ``logits`` of the class tokens and ``patch_logits``, each (B, C)."""
        maps = features.once(self._patch_maps)
        pooled = maps.mean(dim=(2, 3)) if self.patch_pool == 'avg' else global_weighted_rank_pool(maps)
        return {'logits': features.class_tokens.mean(dim=2), 'patch_logits': pooled}

    def maps(self, features: Features, names: Sequence[str], classes: Optional[Tensor] = None) -> dict[str, Tensor]:
        """Compute the maps listed in ``names``, each (B, C or P, h, w); see the base class."""
        found: dict[str, Tensor] = {'patch_cams': F.relu(select_classes(features.once(self._patch_maps), classes))}
        if self._class_attention(classes) in features:
            attention = features[self._class_attention(classes)].unflatten(2, features.grid)
            found['attention'] = attention / self.attention_layers
            found['raw_cams'] = found['attention'] * found['patch_cams']
            if self.fuse_sqrt:
                found['raw_cams'] = found['raw_cams'].sqrt()
        if set(names) & set(self._by_layer()):
            found.update(self._maps_by_layer(found['raw_cams'], features[PatchAttention()]))
        for name in names:
            if name == 'cams' and not self.refine:
                found[name] = found['raw_cams']
            elif self._refined_from(name):
                found[name] = self._refined(found[self._refined_from(name)], features)
        return {name: found[name] for name in names}

    def _refined_from(self, name: str) -> Optional[str]:
        """Return the map of whose refinement a map is the result, or None."""
        if name == 'cams':
            return 'raw_cams' if self.refine else None
        return name.removeprefix('refined_') if name.startswith('refined_') else None

    def _class_attention(self, classes: Optional[Tensor]) -> ClassAttentionSum:
        return ClassAttentionSum(layers=tuple(range(-self.attention_layers, 0)), classes=class_indices(classes))

    def _patch_maps(self, features: Features) -> Tensor:
        """Compute the signed maps (B, C, h, w) of the patch classifier."""
        return self.patch_classifier(features.maps[-1])

    def _refined(self, maps: Tensor, features: Features) -> Tensor:
        refined = refine_with_affinity(maps, features[self._affinity])
        return refined / len(features.layout.layer_indices(self._affinity.layers))

    def _by_layer(self) -> list[str]:
        return [f'{kind}_{number}' for kind in ('layer', 'first') for number in range(1, self.num_layers + 1)]

    def _maps_by_layer(self, cams: Tensor, affinities: Tensor) -> dict[str, Tensor]:
        """Refine maps (B, C, h, w) by single layers' affinity (B, L, N, N), and average the first of them."""
        refined = torch.einsum('blij,bcj->blci', affinities, cams.flatten(2)).unflatten(3, cams.shape[2:])
        if refined.shape[1] != self.num_layers:
            raise ValueError(f'num_layers is {self.num_layers}, the backbone has {refined.shape[1]} layers')
        # Refinement is linear: what the average affinity gives is the average of what each gives.
        sums = refined.cumsum(dim=1)
        layers = range(self.num_layers)
        return {**{f'layer_{i + 1}': refined[:, i] for i in layers},
                **{f'first_{i + 1}': sums[:, i] / (i + 1) for i in layers}}
