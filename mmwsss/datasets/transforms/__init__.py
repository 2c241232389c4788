"""Pipeline steps."""

from .erasing import NoiseErasing
from .geometry import RandomPlaceCrop, RandomScale
from .multi_view import ToCoViews
from .pack import PackWSSSInputs

__all__ = ['NoiseErasing', 'PackWSSSInputs', 'RandomPlaceCrop', 'RandomScale', 'ToCoViews']
