"""Optimizer wrappers."""

from .cpu_bf16 import CPUBFloat16OptimWrapper

__all__ = ['CPUBFloat16OptimWrapper']
