"""Transforms for data pipelines."""

from .geometry import RandomPlaceCrop, RandomScale, ToCoViews
from .keep_image import KeepImage
from .labels import LoadAffinityScores, LoadTrueMask, PoolAffinityLabels, StrideLabels
from .pack import PackWSSSInputs
from .photometric import HSVShift, NoiseErasing
from .views import AddViews

__all__ = [
    'AddViews', 'HSVShift', 'KeepImage', 'LoadAffinityScores', 'LoadTrueMask', 'NoiseErasing', 'PackWSSSInputs',
    'PoolAffinityLabels', 'RandomPlaceCrop', 'RandomScale', 'StrideLabels', 'ToCoViews'
]
