"""Hooks and schedules that mmengine lacks."""

from .hooks import IterationSeedHook
from .schedulers import WarmupPolyLR

__all__ = ['IterationSeedHook', 'WarmupPolyLR']
