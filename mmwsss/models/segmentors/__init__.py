"""Segmentors, which combine backbone, heads, label steps and losses."""

from .affinity_net import AffinityNet
from .cam_classifier import CAMClassifier
from .cam_mixin import CAMMixin
from .deeplab_v2 import DeepLabV2
from .dupl import DuPL
from .multi_scale_tta import MultiScaleTTA
from .segmenter import Segmenter
from .single_stage import SingleStage
from .toco import ToCo

__all__ = ['AffinityNet', 'CAMClassifier', 'CAMMixin', 'DeepLabV2', 'DuPL', 'MultiScaleTTA', 'Segmenter', 'SingleStage',
           'ToCo']
