"""The links of a WSSS method, from backbones and CAM heads to the segmentors that tie them."""

from .affinity_head import AffinityHead
from .auxiliaries import AffinityReactivation, BaseAuxiliary
from .backbones import (
    AttentionConformer,
    AttentionViT,
    CeilPoolResNet,
    Features,
    ObservableBackbone,
    Observation,
    Request,
    TokenLayout,
    WideResNet38,
    extract_features,
)
from .cam_heads import (
    AReAMHead,
    BaseCAMHead,
    CAMHead,
    MCTformerHead,
    ProjectionHead,
    ToCoHead,
    TransCAMHead,
    WeakTrHead,
)
from .data_preprocessor import MultiViewPreProcessor
from .decode_heads import DeepLabV1Head, DeepLabV2Head, LargeFOVHead, MaskTransformerHead, NormedLargeFOVHead
from .losses import (
    AffinityLoss,
    BalancedCrossEntropyLoss,
    ClassTokenContrastLoss,
    DenseEnergyLoss,
    GradientClippedCrossEntropyLoss,
    MultiLabelSoftMarginLoss,
    PairAffinityLoss,
    PatchTokenContrastLoss,
)
from .refiners import DenseCRF, PixelAdaptiveRefinement
from .segmentors import AffinityNet, CAMClassifier, DeepLabV2, MultiScaleTTA, RefinedTTAModel, Segmenter, ToCo

__all__ = [
    'AReAMHead', 'AffinityHead', 'AffinityLoss', 'AffinityNet', 'AffinityReactivation', 'AttentionConformer',
    'AttentionViT', 'BalancedCrossEntropyLoss', 'BaseAuxiliary', 'BaseCAMHead', 'CAMClassifier', 'CAMHead',
    'CeilPoolResNet', 'ClassTokenContrastLoss', 'DeepLabV1Head', 'DeepLabV2', 'DeepLabV2Head', 'DenseCRF',
    'DenseEnergyLoss', 'Features', 'GradientClippedCrossEntropyLoss', 'LargeFOVHead', 'MCTformerHead',
    'MaskTransformerHead', 'MultiLabelSoftMarginLoss', 'MultiScaleTTA', 'MultiViewPreProcessor',
    'NormedLargeFOVHead', 'ObservableBackbone', 'Observation', 'PairAffinityLoss', 'PatchTokenContrastLoss',
    'PixelAdaptiveRefinement', 'ProjectionHead', 'RefinedTTAModel', 'Request', 'Segmenter', 'ToCo', 'ToCoHead',
    'TokenLayout', 'TransCAMHead', 'WeakTrHead', 'WideResNet38', 'extract_features'
]
