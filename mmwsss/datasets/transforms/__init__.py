"""Pipeline steps."""

from .pack import PackWSSSInputs

__all__ = ['PackWSSSInputs']
