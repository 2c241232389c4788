"""Decode heads that mmseg lacks."""

from .large_fov import LargeFOVHead

__all__ = ['LargeFOVHead']
