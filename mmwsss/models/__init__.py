"""The links of a WSSS method: backbones, CAM heads, refiners, losses, decode heads and the segmentors that tie them."""

from mmwsss import assets  # noqa: F401  # lets configs name the checkpoints that come with the package
from mmwsss.utils.augreg import load_augreg_vit
from mmwsss.utils.checkpoint_schemes import load_resnet38, load_timm_vit

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
    PatchTokenContrastLoss,
)
from .refiners import AffinityReactivation, DenseCRF, PixelAdaptiveRefinement
from .segmentors import CAMClassifier, DeepLabV2, MultiScaleTTA, RefinedTTAModel, Segmenter, ToCo

__all__ = [
    'GradientClippedCrossEntropyLoss', 'MaskTransformerHead', 'RefinedTTAModel', 'Segmenter',
    'AReAMHead', 'AffinityLoss', 'AffinityReactivation', 'AttentionConformer', 'AttentionViT',
    'BalancedCrossEntropyLoss', 'CAMClassifier', 'CeilPoolResNet', 'ClassTokenContrastLoss', 'DeepLabV1Head',
    'DeepLabV2', 'DeepLabV2Head', 'DenseCRF', 'DenseEnergyLoss', 'NormedLargeFOVHead',
    'LargeFOVHead', 'MCTformerHead', 'MultiScaleTTA', 'MultiViewPreProcessor', 'PatchTokenContrastLoss',
    'PixelAdaptiveRefinement', 'ProjectionHead', 'ToCo', 'ToCoHead', 'TransCAMHead', 'WeakTrHead',
    'WideResNet38', 'load_augreg_vit', 'load_resnet38', 'load_timm_vit'
]
