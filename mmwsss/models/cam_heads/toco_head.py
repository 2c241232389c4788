"""ToCo's heads (CVPR 2023): a classifier on the last tokens, one on intermediate tokens, and a projector."""

from collections.abc import Sequence
from typing import Optional

import torch
from mmengine.model import BaseModule
from mmengine.model.weight_init import trunc_normal_init
from torch import Tensor, nn
from torch.nn import functional as F

from mmwsss.registry import MODELS

from ..backbones.features import Features, Request
from .base import BaseCAMHead

__all__ = ['ProjectionHead', 'ToCoHead']


@MODELS.register_module()
class ToCoHead(BaseCAMHead):
    """Two 1x1 classifiers without bias, on globally max-pooled tokens (ToCo, Sec. 4.2).

    The same weights applied to the maps before pooling give the class activation maps (Eq. 1 and 2).

    Args:
        num_classes: C, foreground classes.
        in_channels: D, token width.
        aux_layer: Layer of the backbone whose raw tokens the auxiliary classifier sees; -3 is block 10 of 12.
        init_cfg: As in mmengine's ``BaseModule``.
    """

    map_names = ('cams', 'aux_cams')

    def __init__(self,
                 num_classes: int,
                 in_channels: int,
                 aux_layer: int = -3,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(num_classes, init_cfg)
        self.aux_layer = aux_layer
        self.classifier = nn.Conv2d(in_channels, num_classes, kernel_size=1, bias=False)
        self.aux_classifier = nn.Conv2d(in_channels, num_classes, kernel_size=1, bias=False)

    def request(self, names: Sequence[str] = (), classes: Optional[Tensor] = None) -> Request:
        """Request the last tokens and the raw tokens of the auxiliary layer; see the base class."""
        self.check_maps(names)
        return Request(hidden=(self.aux_layer, ))

    def forward(self, features: Features) -> dict[str, Tensor]:
        """Return ``logits`` and ``aux_logits``, each (B, C)."""
        return {
            'logits': _pooled_scores(self.classifier, features.maps[-1]),
            'aux_logits': _pooled_scores(self.aux_classifier, features.hidden[self.aux_layer])}

    def maps(self, features: Features, names: Sequence[str], classes: Optional[Tensor] = None) -> dict[str, Tensor]:
        """Return ``cams`` and ``aux_cams``, each (B, C or P, h, w), signed."""
        select = slice(None) if classes is None else classes
        sources = {'cams': (features.maps[-1], self.classifier),
                   'aux_cams': (features.hidden[self.aux_layer], self.aux_classifier)}
        return {name: F.conv2d(sources[name][0], sources[name][1].weight[select]) for name in names}


def _pooled_scores(classifier: nn.Conv2d, features: Tensor) -> Tensor:
    return classifier(features.amax(dim=(2, 3), keepdim=True)).flatten(1)


@MODELS.register_module()
class ProjectionHead(BaseModule):
    """Projector of class tokens (ToCo, Sec. 4.3; DINO's form).

    Three linear layers with GELU between them, L2 normalization, and a linear layer without bias whose rows have
    unit length: each output is the cosine between the bottleneck vector and a learned direction.

    Args:
        in_channels: D, token width.
        hidden_channels: Width of the first two layers.
        bottleneck_channels: Width of the normalized vector.
        out_channels: Number of directions.
        init_cfg: As in mmengine's ``BaseModule``.
    """

    def __init__(self,
                 in_channels: int,
                 hidden_channels: int = 2048,
                 bottleneck_channels: int = 256,
                 out_channels: int = 1024,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        self.mlp = nn.Sequential(
            nn.Linear(in_channels, hidden_channels), nn.GELU(),
            nn.Linear(hidden_channels, hidden_channels), nn.GELU(),
            nn.Linear(hidden_channels, bottleneck_channels))
        self.weight_v = nn.Parameter(torch.empty(out_channels, bottleneck_channels))
        self.weight_g = nn.Parameter(torch.ones(out_channels, 1), requires_grad=False)
        nn.init.kaiming_uniform_(self.weight_v, a=5**0.5)

    def init_weights(self) -> None:
        """Draw the linear layers from a normal distribution of std 0.02, truncated; biases are zero."""
        super().init_weights()
        for module in self.mlp:
            if isinstance(module, nn.Linear):
                trunc_normal_init(module, std=0.02)

    def forward(self, class_tokens: Tensor) -> Tensor:
        """Project (..., D) tokens to (..., out_channels) cosines in [-1, 1]."""
        bottleneck = F.normalize(self.mlp(class_tokens), dim=-1)
        return F.linear(bottleneck, self.weight_g * F.normalize(self.weight_v, dim=1))
