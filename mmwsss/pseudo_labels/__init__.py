"""Pseudo labels of data sets: where scores come from, the steps to labels, the folder, and the run over all images."""

from .folder import LabelFolder
from .generation import LabelSummary, make_pseudo_labels
from .label_cfg import LabelPlan, expand_short_forms, read_label_cfg
from .sources import CAMSource, LabelSource, MapFolder, SegmentationSource
from .writer import PseudoLabelError

__all__ = [
    'CAMSource', 'LabelFolder', 'LabelPlan', 'LabelSource', 'LabelSummary', 'MapFolder', 'PseudoLabelError',
    'SegmentationSource', 'expand_short_forms', 'make_pseudo_labels', 'read_label_cfg'
]
