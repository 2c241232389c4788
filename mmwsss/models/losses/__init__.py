"""Losses."""

from .affinity import AffinityLoss
from .balanced_cross_entropy import BalancedCrossEntropyLoss
from .contrast import ClassTokenContrastLoss, PatchTokenContrastLoss
from .dense_energy import DenseEnergyLoss
from .gradient_clipping import GradientClippedCrossEntropyLoss
from .multi_label import MultiLabelSoftMarginLoss
from .pair_affinity import PairAffinityLoss

__all__ = [
    'AffinityLoss', 'BalancedCrossEntropyLoss', 'ClassTokenContrastLoss', 'DenseEnergyLoss',
    'GradientClippedCrossEntropyLoss', 'MultiLabelSoftMarginLoss', 'PairAffinityLoss', 'PatchTokenContrastLoss'
]
