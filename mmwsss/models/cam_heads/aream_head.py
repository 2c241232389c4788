"""AReAM's class scores and class maps: MCTformer's, with averages in place of sums."""

from collections.abc import Sequence
from typing import Optional

import torch
from torch import Tensor

from mmwsss.registry import MODELS

from ..backbones import AttentionViT, ObservedViT
from .mctformer_head import MCTformerHead

__all__ = ['AReAMHead', 'global_weighted_rank_pool']


@MODELS.register_module()
class AReAMHead(MCTformerHead):
    """Head of AReAM (arXiv 2305.03112).

    ``raw_cams`` are the rectified maps of the patch classifier times the class tokens' attention, averaged over the
    last layers; ``cams`` are these refined by the patches' attention, averaged over all layers. Which layers can be
    trusted is learnt in training (:class:`AffinityReactivation`); maps are made without weights.

    Args:
        num_classes: C, foreground classes; the backbone has as many class tokens.
        in_channels: D, token width.
        fuse_sqrt: Take the square root of the product, as MCTformer+ does.
        patch_pool: Score of the patch classifier's maps: their mean (``'avg'``), or ``'gwrp'``:
            :func:`global_weighted_rank_pool`, as in MCTformer+.
        num_layers: L, layers of the backbone, of which :attr:`map_names` has maps for the paper's tables.
        **kwargs: ``attention_layers``, ``affinity_layers`` and the like; see :class:`MCTformerHead`.

    Raises:
        ValueError: On an unknown choice; in :meth:`extract`, if maps of layers are wanted and there are not as many.
    """

    def __init__(self, num_classes: int, in_channels: int, fuse_sqrt: bool = False, patch_pool: str = 'avg',
                 num_layers: int = 12, **kwargs) -> None:
        super().__init__(num_classes, in_channels, **{'fusion': 'mean', **kwargs})
        if patch_pool not in ('avg', 'gwrp'):
            raise ValueError(f"patch_pool must be 'avg' or 'gwrp', got {patch_pool!r}")
        self.fuse_sqrt = fuse_sqrt
        self.patch_pool = patch_pool
        self.num_layers = num_layers

    @property
    def map_names(self) -> tuple[str, ...]:
        """All maps that can be asked for.

        MCTformer's, whose ``fused_cams`` are ``raw_cams`` here; ``layer_1`` to ``layer_L``, refined by one layer alone
        (Figs. 1 and 6); ``first_1`` to ``first_L``, refined by the average of the first layers (Table III).
        """
        return (*super().map_names, 'raw_cams', *self._layer_names('layer'), *self._layer_names('first'))

    def extract(self,
                backbone: AttentionViT,
                inputs: Tensor,
                names: Optional[Sequence[str]] = None,
                classes: Optional[Tensor] = None) -> dict[str, Tensor]:
        """Give scores and maps as :class:`MCTformerHead` does; ``names=None``: cams, raw_cams and patch_cams."""
        names = ('cams', 'raw_cams', 'patch_cams') if names is None else names
        by_layer = set(names) & {*self._layer_names('layer'), *self._layer_names('first')}
        own = dict.fromkeys('fused_cams' if name == 'raw_cams' or name in by_layer else name for name in names)
        backbone = ObservedViT(backbone, probabilities=True) if by_layer else backbone
        found = super().extract(backbone, inputs, list(own), classes)
        maps = {**found, 'raw_cams': found.get('fused_cams')}
        if by_layer:
            maps.update(self._maps_by_layer(maps['fused_cams'], backbone.take()[1]))
        scores = {name: value for name, value in found.items() if value.ndim == 2}
        return {**scores, **{name: maps[name] for name in names}}

    def _layer_names(self, kind: str) -> list[str]:
        return [f'{kind}_{number}' for number in range(1, self.num_layers + 1)]

    def _maps_by_layer(self, cams: Tensor, affinities: Tensor) -> dict[str, Tensor]:
        """Refine maps (B, C, h, w) by single layers' affinity (B, L, N, N), and average the first of them."""
        refined = torch.einsum('blij,bcj->blci', affinities, cams.flatten(2)).unflatten(3, cams.shape[2:])
        if refined.shape[1] != self.num_layers:
            raise ValueError(f'num_layers is {self.num_layers}, the backbone has {refined.shape[1]} layers')
        # Refinement is linear: what the average affinity gives is the average of what each gives.
        sums = refined.cumsum(dim=1)
        maps = {name: refined[:, i] for i, name in enumerate(self._layer_names('layer'))}
        return {**maps, **{name: sums[:, i] / (i + 1) for i, name in enumerate(self._layer_names('first'))}}

    def _unrefined(self, *args, **kwargs) -> dict[str, Tensor]:
        maps = super()._unrefined(*args, **kwargs)
        if self.fuse_sqrt and 'fused_cams' in maps:
            maps['fused_cams'] = maps['fused_cams'].sqrt()
        return maps

    def _pooled(self, patch_maps: Tensor) -> Tensor:
        return super()._pooled(patch_maps) if self.patch_pool == 'avg' else global_weighted_rank_pool(patch_maps)


def global_weighted_rank_pool(maps: Tensor, decay: float = 0.996) -> Tensor:
    """Average maps (B, C, h, w) with weights that fall from the largest value to the smallest.

    Args:
        maps: Scores of any sign.
        decay: Weight of a value relative to that of the next larger one (SEC, ECCV 2016, Eq. 2).

    Returns:
        (B, C).
    """
    ranked = maps.flatten(2).sort(dim=2, descending=True).values
    weights = decay ** torch.arange(ranked.shape[2], device=maps.device)
    return (ranked * weights).sum(dim=2) / weights.sum()
