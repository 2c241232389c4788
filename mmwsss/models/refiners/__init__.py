"""Refiners: from score maps to better score maps."""

from .par import PixelAdaptiveRefinement

__all__ = ['PixelAdaptiveRefinement']
