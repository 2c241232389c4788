"""Parts of WSSS methods: backbones, CAM heads, label steps, losses, decode heads and segmentors."""

from .affinity_head import AffinityHead
from .auxiliaries import AffinityReactivation, BaseAuxiliary, ContrastiveClassTokens
from .backbones import (
    PRECISIONS,
    AttentionConformer,
    AttentionViT,
    CeilPoolResNet,
    EfficientNetLite,
    EVA02ViT,
    Features,
    ObservableBackbone,
    Observation,
    Request,
    TokenLayout,
    WideResNet38,
    backbone_precision,
    check_precision,
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
from .label_steps import (
    AlphaBackground,
    Argmax,
    ConstantBackground,
    DenseCRF,
    ImageBackground,
    LabelBatch,
    Labeler,
    LabelPipeline,
    LabelStep,
    LossNoiseFilter,
    MergeLevels,
    PixelAdaptiveRefinement,
    RandomWalk,
)
from .losses import (
    AffinityLoss,
    BalancedCrossEntropyLoss,
    ClassTokenContrastLoss,
    ConfidentConsistencyLoss,
    ContrastiveClassTokenLoss,
    DenseEnergyLoss,
    FeatureDiscrepancyLoss,
    GradientClippedCrossEntropyLoss,
    MultiLabelSoftMarginLoss,
    PairAffinityLoss,
    PatchTokenContrastLoss,
)
from .segmentors import AffinityNet, CAMClassifier, DeepLabV2, DuPL, MultiScaleTTA, Segmenter, SingleStage, ToCo

__all__ = [
    'PRECISIONS', 'AReAMHead', 'AffinityHead', 'AffinityLoss', 'AffinityNet', 'AffinityReactivation',
    'AlphaBackground', 'Argmax', 'AttentionConformer', 'AttentionViT', 'BalancedCrossEntropyLoss', 'BaseAuxiliary',
    'BaseCAMHead', 'CAMClassifier', 'CAMHead', 'CeilPoolResNet', 'ClassTokenContrastLoss',
    'ConfidentConsistencyLoss', 'ConstantBackground', 'ContrastiveClassTokenLoss', 'ContrastiveClassTokens',
    'DeepLabV1Head', 'DeepLabV2', 'DeepLabV2Head', 'DenseCRF', 'DenseEnergyLoss', 'DuPL', 'EVA02ViT',
    'EfficientNetLite', 'FeatureDiscrepancyLoss', 'Features', 'GradientClippedCrossEntropyLoss', 'ImageBackground',
    'LabelBatch', 'LabelPipeline', 'LabelStep', 'Labeler', 'LargeFOVHead', 'LossNoiseFilter', 'MCTformerHead',
    'MaskTransformerHead', 'MergeLevels', 'MultiLabelSoftMarginLoss', 'MultiScaleTTA', 'MultiViewPreProcessor',
    'NormedLargeFOVHead', 'ObservableBackbone', 'Observation', 'PairAffinityLoss', 'PatchTokenContrastLoss',
    'PixelAdaptiveRefinement', 'ProjectionHead', 'RandomWalk', 'Request', 'Segmenter', 'SingleStage', 'ToCo',
    'ToCoHead', 'TokenLayout', 'TransCAMHead', 'WeakTrHead', 'WideResNet38', 'backbone_precision',
    'check_precision', 'extract_features'
]
