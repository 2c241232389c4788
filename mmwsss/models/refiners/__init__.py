"""Refiners: from score maps to better score maps."""

from .affinity_reactivation import AffinityReactivation, AffinityTargets
from .dense_crf import CRF_PRESETS, DenseCRF, label_probabilities
from .par import PixelAdaptiveRefinement

__all__ = [
    'AffinityReactivation', 'AffinityTargets', 'CRF_PRESETS', 'DenseCRF', 'PixelAdaptiveRefinement',
    'label_probabilities'
]
