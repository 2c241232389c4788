"""Hooks and schedules that mmengine lacks."""

from .hooks import IterationSeedHook, PictureSheetHook
from .schedulers import WarmupPolyLR

__all__ = ['IterationSeedHook', 'PictureSheetHook', 'WarmupPolyLR']
