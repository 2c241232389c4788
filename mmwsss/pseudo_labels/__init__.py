"""Pseudo labels of data sets: the sources of scores, the configs of label steps, the folder, and the generation."""

from .folder import LabelFolder
from .generation import PseudoLabelSummary, make_pseudo_labels
from .label_cfg import LabelPlan, expand_short_forms, read_label_cfg
from .shard import Shard
from .sources import CAMSource, LabelSource, MapFolder, SegmentationSource
from .writer import PseudoLabelError

__all__ = [
    'CAMSource', 'LabelFolder', 'LabelPlan', 'LabelSource', 'MapFolder', 'PseudoLabelError', 'PseudoLabelSummary',
    'SegmentationSource', 'Shard', 'expand_short_forms', 'make_pseudo_labels', 'read_label_cfg'
]
