"""The head of AffinityNet: features whose distances define the affinity of cells."""

from collections.abc import Sequence
from typing import Optional

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from mmwsss.registry import MODELS

__all__ = ['AffinityHead']


@MODELS.register_module()
class AffinityHead(BaseModule):
    """Reduce three feature maps by 1x1 convolutions, concatenate them and apply a fourth one, each with an ELU (PSA).

    The modules are named as in the published files (CVPR 2018) and have neither bias nor norm.

    Args:
        in_channels: Channels of the three maps.
        channels: Channels to which each map is reduced; the result has their sum.
        init_cfg: As in mmengine. The weights of this module are always drawn as published.

    Raises:
        ValueError: ``in_channels`` or ``channels`` does not have three entries.
    """

    def __init__(self,
                 in_channels: Sequence[int] = (512, 1024, 4096),
                 channels: Sequence[int] = (64, 128, 256),
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        if len(in_channels) != 3 or len(channels) != 3:
            raise ValueError(f'in_channels and channels must be three numbers each, got {tuple(in_channels)} and '
                             f'{tuple(channels)}')
        self.f8_3, self.f8_4, self.f8_5 = (
            nn.Conv2d(start, end, kernel_size=1, bias=False) for start, end in zip(in_channels, channels))
        self.f9 = nn.Conv2d(sum(channels), sum(channels), kernel_size=1, bias=False)

    def init_weights(self) -> None:
        """Draw Kaiming-normal weights, and for the last layer Xavier-uniform weights times 4."""
        super().init_weights()
        for layer in (self.f8_3, self.f8_4, self.f8_5):
            nn.init.kaiming_normal_(layer.weight)
        nn.init.xavier_uniform_(self.f9.weight, gain=4)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Compute features (B, sum of ``channels``, h, w) from three maps (B, C_k, h, w)."""
        layers = (self.f8_3, self.f8_4, self.f8_5)
        joined = torch.cat([F.elu(layer(x)) for layer, x in zip(layers, inputs)], dim=1)
        return F.elu(self.f9(joined))
