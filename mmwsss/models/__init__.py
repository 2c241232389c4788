"""The links of a WSSS method: backbones, CAM heads, refiners, losses, decode heads and the segmentors that tie them."""

from .affinity_head import AffinityHead
from .backbones import AttentionConformer, AttentionViT, CeilPoolResNet, WideResNet38
from .cam_heads import AReAMHead, MCTformerHead, ProjectionHead, ToCoHead, TransCAMHead, WeakTrHead
from .data_preprocessor import MultiViewPreProcessor
from .decode_heads import DeepLabV1Head, DeepLabV2Head, LargeFOVHead, MaskTransformerHead, NormedLargeFOVHead
from .losses import (
    AffinityLoss,
    BalancedCrossEntropyLoss,
    ClassTokenContrastLoss,
    DenseEnergyLoss,
    GradientClippedCrossEntropyLoss,
    PairAffinityLoss,
    PatchTokenContrastLoss,
)
from .refiners import AffinityReactivation, DenseCRF, PixelAdaptiveRefinement
from .segmentors import AffinityNet, CAMClassifier, DeepLabV2, MultiScaleTTA, RefinedTTAModel, Segmenter, ToCo

__all__ = [
    'AReAMHead', 'AffinityHead', 'AffinityLoss', 'AffinityNet', 'AffinityReactivation', 'AttentionConformer',
    'AttentionViT', 'BalancedCrossEntropyLoss', 'CAMClassifier', 'CeilPoolResNet', 'ClassTokenContrastLoss',
    'DeepLabV1Head', 'DeepLabV2', 'DeepLabV2Head', 'DenseCRF', 'DenseEnergyLoss', 'GradientClippedCrossEntropyLoss',
    'LargeFOVHead', 'MCTformerHead', 'MaskTransformerHead', 'MultiScaleTTA', 'MultiViewPreProcessor',
    'NormedLargeFOVHead', 'PairAffinityLoss', 'PatchTokenContrastLoss', 'PixelAdaptiveRefinement', 'ProjectionHead',
    'RefinedTTAModel', 'Segmenter', 'ToCo', 'ToCoHead', 'TransCAMHead', 'WeakTrHead', 'WideResNet38'
]
