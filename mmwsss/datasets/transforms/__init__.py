"""Transforms for data pipelines."""

from .geometry import RandomPlaceCrop, RandomScale, ToCoViews
from .labels import LoadAffinityScores, LoadTrueMask, PoolAffinityLabels, StrideLabels
from .pack import PackWSSSInputs
from .photometric import HSVShift, NoiseErasing

__all__ = [
    'HSVShift', 'LoadAffinityScores', 'LoadTrueMask', 'NoiseErasing', 'PackWSSSInputs', 'PoolAffinityLabels',
    'RandomPlaceCrop', 'RandomScale', 'StrideLabels', 'ToCoViews'
]
