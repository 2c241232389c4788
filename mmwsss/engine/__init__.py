"""Hooks, schedules and optimizer wrappers that mmengine lacks, and the length of a run."""

from .hooks import CheckpointHook, IterationSeedHook, KeptPrecisionHook, PictureSheetHook, ReactivationTraceHook
from .optimizers import auto_amp_optim_wrapper
from .run_length import run_length, set_iterations
from .schedulers import LaggedCosineLR, WarmupPolyLR

__all__ = ['CheckpointHook', 'IterationSeedHook', 'KeptPrecisionHook', 'LaggedCosineLR', 'PictureSheetHook',
           'ReactivationTraceHook', 'WarmupPolyLR', 'auto_amp_optim_wrapper', 'run_length', 'set_iterations']
