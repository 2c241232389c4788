"""Metrics of class activation maps, pseudo labels and class scores."""

from .counting_metric import CountingMetric
from .folders import LabelCounts, evaluate_cam_folder, evaluate_label_folder, first_key_contradiction
from .metrics import CAMMetric, CheckedIoUMetric, ImageMAP, PairAffinityMetric
from .rates import MEANS, RATES, best_threshold, class_rates, mean_over_classes
from .results import EvaluationResult, format_rate, without_nan
from .threshold_sweep import MAX_THRESHOLDS, ThresholdSweep, default_thresholds, published_thresholds

__all__ = [
    'CAMMetric', 'CheckedIoUMetric', 'CountingMetric', 'EvaluationResult', 'ImageMAP', 'LabelCounts', 'MAX_THRESHOLDS',
    'MEANS', 'PairAffinityMetric', 'RATES', 'ThresholdSweep', 'best_threshold', 'class_rates', 'default_thresholds',
    'evaluate_cam_folder', 'evaluate_label_folder', 'first_key_contradiction', 'format_rate', 'mean_over_classes',
    'published_thresholds', 'without_nan'
]
