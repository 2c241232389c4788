"""Metrics of class activation maps, pseudo labels and class scores."""

from .cam_metric import CAMMetric
from .counting_metric import CountingMetric
from .folders import evaluate_cam_folder, evaluate_label_folder
from .image_ap import ImageAP
from .image_f1 import ImageF1
from .image_map import ImageMAP
from .label_counts import LabelCounts
from .pair_affinity_metric import PairAffinityMetric
from .rates import class_rates, mean_over_classes
from .tables import class_table
from .threshold_sweep import ThresholdSweep, best_threshold, default_thresholds

__all__ = [
    'CAMMetric', 'CountingMetric', 'ImageAP', 'ImageF1', 'ImageMAP', 'LabelCounts', 'PairAffinityMetric',
    'ThresholdSweep', 'best_threshold', 'class_rates', 'class_table', 'default_thresholds', 'evaluate_cam_folder',
    'evaluate_label_folder', 'mean_over_classes'
]
