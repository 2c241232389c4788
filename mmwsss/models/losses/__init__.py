"""Losses, one idea a file."""

from .balanced_cross_entropy import BalancedCrossEntropyLoss
from .contrast import ClassTokenContrastLoss, PatchTokenContrastLoss
from .dense_energy import DenseEnergyLoss

__all__ = [
    'BalancedCrossEntropyLoss', 'ClassTokenContrastLoss', 'DenseEnergyLoss',
    'PatchTokenContrastLoss'
]
