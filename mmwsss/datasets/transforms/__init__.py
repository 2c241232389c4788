"""Pipeline steps."""

from .affinity_labels import LoadAffinityScores, PoolAffinityLabels, StrideLabels
from .colour import HSVShift
from .erasing import NoiseErasing
from .geometry import RandomPlaceCrop, RandomScale
from .keep_image import KeepImage
from .multi_view import ToCoViews
from .pack import PackWSSSInputs
from .true_mask import LoadTrueMask

__all__ = [
    'HSVShift', 'KeepImage', 'LoadAffinityScores', 'LoadTrueMask', 'NoiseErasing', 'PackWSSSInputs',
    'PoolAffinityLabels', 'RandomPlaceCrop', 'RandomScale', 'StrideLabels', 'ToCoViews'
]
