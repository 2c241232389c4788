"""Hooks."""

from .iteration_seed import IterationSeedHook
from .picture_sheet import PictureSheetHook
from .pseudo_label_hook import PseudoLabelHook

__all__ = ['IterationSeedHook', 'PictureSheetHook', 'PseudoLabelHook']
