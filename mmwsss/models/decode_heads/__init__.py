"""Decode heads that mmseg lacks."""

from .large_fov import LargeFOVHead
from .segmenter import MaskTransformerHead

__all__ = ['LargeFOVHead', 'MaskTransformerHead']
