"""Losses, one idea a file."""

from .balanced_cross_entropy import BalancedCrossEntropyLoss
from .contrast import ClassTokenContrastLoss, PatchTokenContrastLoss

__all__ = ['BalancedCrossEntropyLoss', 'ClassTokenContrastLoss', 'PatchTokenContrastLoss']
