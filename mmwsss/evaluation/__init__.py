"""Metrics of class activation maps and pseudo labels."""

from .rates import class_rates, mean_over_classes
from .threshold_sweep import ThresholdSweep, default_thresholds

__all__ = ['ThresholdSweep', 'class_rates', 'default_thresholds', 'mean_over_classes']
