"""Plain class activation maps, the baseline of every table."""

from collections.abc import Sequence
from typing import Optional

from torch import Tensor, nn
from torch.nn import functional as F

from mmwsss.registry import MODELS

from ..backbones.features import Features
from ..utils import global_weighted_rank_pool
from .base import BaseCAMHead

__all__ = ['CAMHead']

POOLS = {
    'avg': lambda maps: maps.mean(dim=(2, 3)),
    'max': lambda maps: maps.amax(dim=(2, 3)),
    'gwrp': global_weighted_rank_pool,
}


@MODELS.register_module()
class CAMHead(BaseCAMHead):
    """Class activation maps (CAM, CVPR 2016): a linear classifier of every position, pooled to class scores.

    Args:
        num_classes: C, foreground classes.
        in_channels: D, width of the backbone's last feature map.
        pool: How maps become scores: their mean (``'avg'``, as published), their maximum (``'max'``), or ``'gwrp'``,
            global weighted rank pooling (SEC, ECCV 2016).
        bias: Whether the classifier has a bias, as the classifiers of mmpretrain have. It is part of the scores and not
            of the maps.
        init_cfg: As in mmengine's ``BaseModule``.

    Raises:
        ValueError: If ``pool`` is unknown.
    """

    def __init__(self, num_classes: int, in_channels: int, pool: str = 'avg', bias: bool = False,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(num_classes, init_cfg)
        if pool not in POOLS:
            raise ValueError(f'pool must be one of {sorted(POOLS)}, got {pool!r}')
        self.pool = POOLS[pool]
        self.classifier = nn.Conv2d(in_channels, num_classes, kernel_size=1, bias=bias)

    def forward(self, features: Features) -> dict[str, Tensor]:
        """Return ``logits`` (B, C), the pooled maps."""
        logits = self.pool(features.once(self._all_maps))
        return {'logits': logits if self.classifier.bias is None else logits + self.classifier.bias}

    def maps(self, features: Features, names: Sequence[str], classes: Optional[Tensor] = None) -> dict[str, Tensor]:
        """Return ``cams`` (B, C or P, h, w), signed."""
        if classes is None:
            return {name: features.once(self._all_maps) for name in names}
        return {name: F.conv2d(features.maps[-1], self.classifier.weight[classes]) for name in names}

    def _all_maps(self, features: Features) -> Tensor:
        return F.conv2d(features.maps[-1], self.classifier.weight)
