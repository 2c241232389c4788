"""Label steps and labelers, which turn class activation maps (CAMs) into pseudo labels."""

from .backgrounds import AlphaBackground, ConstantBackground, ImageBackground
from .base import Labeler, LabelStep
from .batch import LabelBatch
from .colors import MeanSubtractedColors, RoundTripColors
from .crf_presets import CRF_PRESETS, HARD_LABEL_CRFS
from .dense_crf import DenseCRF, label_probabilities
from .labelers import Argmax, MergeLevels, ThresholdLabels
from .noise import LossNoiseFilter
from .par import PixelAdaptiveRefinement
from .pipeline import LabelPipeline, with_thresholds
from .random_walk import CutPadding, RandomWalk
from .scores import AffinityRefinement, Downscale, HardLabels, KeepPresent, Softmax

__all__ = [
    'AffinityRefinement', 'AlphaBackground', 'Argmax', 'CRF_PRESETS', 'ConstantBackground', 'CutPadding',
    'DenseCRF', 'Downscale', 'HARD_LABEL_CRFS', 'HardLabels', 'ImageBackground', 'KeepPresent', 'LabelBatch',
    'LabelPipeline', 'LabelStep', 'Labeler', 'LossNoiseFilter', 'MeanSubtractedColors', 'MergeLevels',
    'PixelAdaptiveRefinement', 'RandomWalk', 'RoundTripColors', 'Softmax', 'ThresholdLabels', 'label_probabilities',
    'with_thresholds'
]
