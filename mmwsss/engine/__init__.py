"""Hooks, schedules and optimizer wrappers that mmengine lacks."""

from .hooks import CheckpointHook, IterationSeedHook, KeptPrecisionHook, PictureSheetHook
from .optimizers import auto_amp_optim_wrapper
from .schedulers import LaggedCosineLR, WarmupPolyLR

__all__ = ['CheckpointHook', 'IterationSeedHook', 'KeptPrecisionHook', 'LaggedCosineLR', 'PictureSheetHook',
           'WarmupPolyLR', 'auto_amp_optim_wrapper']
