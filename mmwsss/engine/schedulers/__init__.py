"""Schedules of optimisation."""

from .warmup_poly import WarmupPolyLR, warmup_poly

__all__ = ['WarmupPolyLR', 'warmup_poly']
