"""Pipeline steps."""

from .geometry import RandomPlaceCrop, RandomScale
from .multi_view import ToCoViews
from .pack import PackWSSSInputs

__all__ = ['PackWSSSInputs', 'RandomPlaceCrop', 'RandomScale', 'ToCoViews']
