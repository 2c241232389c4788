"""Schedules of optimisation."""

from .lagged_cosine import LaggedCosineLR, lagged_cosine
from .warmup_poly import WarmupPolyLR, warmup_poly

__all__ = ['LaggedCosineLR', 'WarmupPolyLR', 'lagged_cosine', 'warmup_poly']
