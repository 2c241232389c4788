"""The links of a WSSS method: backbones, CAM heads, refiners, losses, decode heads and the segmentors that tie them."""

from .backbones import AttentionViT
from .cam_heads import ProjectionHead, ToCoHead
from .decode_heads import LargeFOVHead
from .losses import BalancedCrossEntropyLoss, ClassTokenContrastLoss, PatchTokenContrastLoss
from .refiners import PixelAdaptiveRefinement

__all__ = [
    'AttentionViT', 'BalancedCrossEntropyLoss', 'ClassTokenContrastLoss', 'LargeFOVHead',
    'PatchTokenContrastLoss', 'PixelAdaptiveRefinement', 'ProjectionHead', 'ToCoHead'
]
