"""Schedules of optimization."""

from .closed_form import ClosedFormLR, changed_settings
from .lagged_cosine import LaggedCosineLR, lagged_cosine
from .warmup_poly import WarmupPolyLR, warmup_poly

__all__ = ['ClosedFormLR', 'LaggedCosineLR', 'WarmupPolyLR', 'changed_settings', 'lagged_cosine', 'warmup_poly']
