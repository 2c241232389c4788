"""The links of a WSSS method: backbones, CAM heads, refiners, losses, decode heads and the segmentors that tie them."""

from mmwsss import assets  # noqa: F401  # lets configs name the checkpoints that come with the package
from mmwsss.utils.augreg import load_augreg_vit
from mmwsss.utils.checkpoint_schemes import load_resnet38, load_timm_vit

from .affinity_head import AffinityHead
from .backbones import AttentionConformer, AttentionViT, CeilPoolResNet, WideResNet38
from .cam_heads import AReAMHead, MCTformerHead, ProjectionHead, ToCoHead, TransCAMHead, WeakTrHead
from .data_preprocessor import MultiViewPreProcessor
from .decode_heads import DeepLabV1Head, DeepLabV2Head, LargeFOVHead, MaskTransformerHead, NormedLargeFOVHead
from .label_steps import (
    AlphaBackground,
    Argmax,
    ConstantBackground,
    DenseCRF,
    LabelBatch,
    Labeler,
    LabelPipeline,
    LabelStep,
    MergeLevels,
    PixelAdaptiveRefinement,
    RandomWalk,
)
from .losses import (
    AffinityLoss,
    BalancedCrossEntropyLoss,
    ClassTokenContrastLoss,
    DenseEnergyLoss,
    GradientClippedCrossEntropyLoss,
    PairAffinityLoss,
    PatchTokenContrastLoss,
)
from .refiners import AffinityReactivation
from .segmentors import AffinityNet, CAMClassifier, DeepLabV2, MultiScaleTTA, Segmenter, ToCo

__all__ = [
    'AReAMHead', 'AffinityHead', 'AffinityLoss', 'AffinityNet', 'AffinityReactivation', 'AlphaBackground', 'Argmax',
    'AttentionConformer', 'AttentionViT', 'BalancedCrossEntropyLoss', 'CAMClassifier', 'CeilPoolResNet',
    'ClassTokenContrastLoss', 'ConstantBackground', 'DeepLabV1Head', 'DeepLabV2', 'DeepLabV2Head', 'DenseCRF',
    'DenseEnergyLoss', 'GradientClippedCrossEntropyLoss', 'LabelBatch', 'LabelPipeline', 'LabelStep', 'Labeler',
    'LargeFOVHead', 'MCTformerHead', 'MaskTransformerHead', 'MergeLevels', 'MultiScaleTTA', 'MultiViewPreProcessor',
    'NormedLargeFOVHead', 'PairAffinityLoss', 'PatchTokenContrastLoss', 'PixelAdaptiveRefinement', 'ProjectionHead',
    'RandomWalk', 'Segmenter', 'ToCo', 'ToCoHead', 'TransCAMHead', 'WeakTrHead', 'WideResNet38', 'load_augreg_vit',
    'load_resnet38', 'load_timm_vit'
]
