"""Segmentors: what ties backbone, heads, refiners and losses into a method."""

from .cam_mixin import CAMMixin
from .multi_scale_tta import MultiScaleTTA
from .toco import ToCo

__all__ = ['CAMMixin', 'MultiScaleTTA', 'ToCo']
