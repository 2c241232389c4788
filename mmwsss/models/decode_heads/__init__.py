"""Decode heads that mmseg does not have."""

from .deeplab import DeepLabV1Head, DeepLabV2Head, NormedLargeFOVHead
from .large_fov import LargeFOVHead
from .segmenter import MaskTransformerHead

__all__ = ['DeepLabV1Head', 'DeepLabV2Head', 'LargeFOVHead', 'MaskTransformerHead', 'NormedLargeFOVHead']
