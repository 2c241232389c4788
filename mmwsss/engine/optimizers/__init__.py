"""Optimizers and optimizer wrappers."""

from .cpu_bf16 import CPUBFloat16OptimWrapper
from .muon_adamw import MuonAdamW, orthogonalize

__all__ = ['CPUBFloat16OptimWrapper', 'MuonAdamW', 'orthogonalize']
