"""Losses, one idea a file."""

from .affinity import AffinityLoss
from .balanced_cross_entropy import BalancedCrossEntropyLoss
from .contrast import ClassTokenContrastLoss, PatchTokenContrastLoss
from .dense_energy import DenseEnergyLoss

__all__ = [
    'AffinityLoss', 'BalancedCrossEntropyLoss', 'ClassTokenContrastLoss', 'DenseEnergyLoss',
    'PatchTokenContrastLoss'
]
