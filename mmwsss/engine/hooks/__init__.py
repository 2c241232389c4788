"""Hooks."""

from .checkpoint_hook import CheckpointHook
from .compile_layers import CompileLayersHook
from .iteration_seed import IterationSeedHook
from .kept_precision import KeptPrecisionHook
from .picture_sheet import PictureSheetHook
from .progress_hook import ProgressHook
from .pseudo_label_hook import PseudoLabelHook
from .reactivation_trace import ReactivationTraceHook
from .results_hook import ResultsHook
from .run_check import RunCheckHook
from .stop_hook import StopHook

__all__ = ['CheckpointHook', 'CompileLayersHook', 'IterationSeedHook', 'KeptPrecisionHook', 'PictureSheetHook',
           'ProgressHook', 'PseudoLabelHook', 'ReactivationTraceHook', 'ResultsHook', 'RunCheckHook', 'StopHook']
