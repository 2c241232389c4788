"""Refiners: from score maps to better score maps."""

from .dense_crf import CRF_PRESETS, DenseCRF, label_probabilities
from .par import PixelAdaptiveRefinement

__all__ = [
    'CRF_PRESETS', 'DenseCRF', 'PixelAdaptiveRefinement',
    'label_probabilities'
]
