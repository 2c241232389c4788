"""Losses."""

from .affinity import AffinityLoss
from .balanced_cross_entropy import BalancedCrossEntropyLoss
from .contrast import ClassTokenContrastLoss, PatchTokenContrastLoss
from .contrastive_class_tokens import ContrastiveClassTokenLoss
from .dense_energy import DenseEnergyLoss
from .dual_student import ConfidentConsistencyLoss, FeatureDiscrepancyLoss
from .gradient_clipping import GradientClippedCrossEntropyLoss
from .multi_label import MultiLabelSoftMarginLoss
from .pair_affinity import PairAffinityLoss

__all__ = [
    'AffinityLoss', 'BalancedCrossEntropyLoss', 'ClassTokenContrastLoss', 'ConfidentConsistencyLoss',
    'ContrastiveClassTokenLoss', 'DenseEnergyLoss', 'FeatureDiscrepancyLoss', 'GradientClippedCrossEntropyLoss',
    'MultiLabelSoftMarginLoss', 'PairAffinityLoss', 'PatchTokenContrastLoss'
]
