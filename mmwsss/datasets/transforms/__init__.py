"""Pipeline steps."""

from .colour import HSVShift
from .erasing import NoiseErasing
from .geometry import RandomPlaceCrop, RandomScale
from .multi_view import ToCoViews
from .pack import PackWSSSInputs
from .true_mask import LoadTrueMask

__all__ = ['HSVShift', 'LoadTrueMask', 'NoiseErasing', 'PackWSSSInputs', 'RandomPlaceCrop', 'RandomScale', 'ToCoViews']
