"""Segmentors: what ties backbone, heads, refiners and losses into a method."""

from .cam_classifier import CAMClassifier
from .cam_mixin import CAMMixin
from .multi_scale_tta import MultiScaleTTA
from .refined_tta import RefinedTTAModel
from .segmenter import Segmenter
from .toco import ToCo

__all__ = ['CAMClassifier', 'CAMMixin', 'MultiScaleTTA', 'RefinedTTAModel', 'Segmenter', 'ToCo']
