"""Optimizers and optimizer wrappers."""

from .auto_amp import auto_amp_optim_wrapper
from .cpu_bf16 import CPUBFloat16OptimWrapper
from .muon_adamw import MuonAdamW, orthogonalize

__all__ = ['CPUBFloat16OptimWrapper', 'MuonAdamW', 'auto_amp_optim_wrapper', 'orthogonalize']
