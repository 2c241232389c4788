"""Metrics of class activation maps and pseudo labels."""

from .cam_metric import CAMMetric
from .image_f1 import ImageF1
from .rates import class_rates, mean_over_classes
from .tables import class_table
from .threshold_sweep import ThresholdSweep, default_thresholds

__all__ = [
    'CAMMetric', 'ImageF1', 'ThresholdSweep', 'class_rates', 'class_table', 'default_thresholds',
    'mean_over_classes'
]
