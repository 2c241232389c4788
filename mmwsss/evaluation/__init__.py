"""Metrics of class activation maps and pseudo labels."""

from .cam_metric import CAMMetric
from .folders import evaluate_cam_folder, evaluate_label_folder
from .image_f1 import ImageF1
from .label_counts import LabelCounts
from .rates import class_rates, mean_over_classes
from .tables import class_table
from .threshold_sweep import ThresholdSweep, default_thresholds

__all__ = [
    'CAMMetric', 'ImageF1', 'LabelCounts', 'ThresholdSweep', 'class_rates', 'class_table', 'default_thresholds',
    'evaluate_cam_folder', 'evaluate_label_folder', 'mean_over_classes'
]
