"""ToCo's heads (CVPR 2023): a classifier on the last tokens, one on intermediate tokens, and a projector."""

from typing import Optional

import torch
from mmengine.model import BaseModule
from mmengine.model.weight_init import trunc_normal_init
from torch import Tensor, nn
from torch.nn import functional as F

from mmwsss.registry import MODELS

__all__ = ['ProjectionHead', 'ToCoHead']


@MODELS.register_module()
class ToCoHead(BaseModule):
    """Two 1x1 classifiers without bias, on globally max-pooled tokens (ToCo, Sec. 4.2).

    The same weights applied to the maps before pooling give the class activation maps (Eq. 1 and 2).

    Args:
        num_classes: C, foreground classes.
        in_channels: D, token width.
        aux_layer: Layer of the backbone whose raw tokens the auxiliary classifier sees; -3 is block 10 of 12.
    """

    def __init__(self,
                 num_classes: int,
                 in_channels: int,
                 aux_layer: int = -3,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        self.num_classes = num_classes
        self.aux_layer = aux_layer
        self.classifier = nn.Conv2d(in_channels, num_classes, kernel_size=1, bias=False)
        self.aux_classifier = nn.Conv2d(in_channels, num_classes, kernel_size=1, bias=False)

    def forward(self, features: Tensor, aux_features: Tensor) -> dict[str, Tensor]:
        """Score the classes of images.

        Args:
            features: (B, D, h, w) last tokens, normalised.
            aux_features: (B, D, h, w) raw tokens of the auxiliary layer.

        Returns:
            ``logits`` and ``aux_logits``, each (B, C).
        """
        return {
            'logits': _pooled_scores(self.classifier, features),
            'aux_logits': _pooled_scores(self.aux_classifier, aux_features)}

    def class_maps(self,
                   features: Tensor,
                   aux_features: Tensor,
                   classes: Optional[Tensor] = None) -> dict[str, Tensor]:
        """Apply the classifiers to every token.

        Args:
            features: (B, D, h, w) last tokens, normalised.
            aux_features: (B, D, h, w) raw tokens of the auxiliary layer.
            classes: Indices of the classes to compute; all C if None.

        Returns:
            ``cams`` and ``aux_cams``, each (B, C or number of indices, h, w), signed.
        """
        select = slice(None) if classes is None else classes
        return {
            'cams': F.conv2d(features, self.classifier.weight[select]),
            'aux_cams': F.conv2d(aux_features, self.aux_classifier.weight[select])}


def _pooled_scores(classifier: nn.Conv2d, features: Tensor) -> Tensor:
    return classifier(features.amax(dim=(2, 3), keepdim=True)).flatten(1)


@MODELS.register_module()
class ProjectionHead(BaseModule):
    """Projector of class tokens (ToCo, Sec. 4.3; DINO's form).

    Three linear layers with GELU between them, L2 normalisation, and a linear layer without bias whose rows have
    unit length: each output is the cosine between the bottleneck vector and a learnt direction.

    Args:
        in_channels: D, token width.
        hidden_channels: Width of the first two layers.
        bottleneck_channels: Width of the normalised vector.
        out_channels: Number of directions.
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
