"""Hooks."""

from .iteration_seed import IterationSeedHook
from .picture_sheet import PictureSheetHook

__all__ = ['IterationSeedHook', 'PictureSheetHook']
