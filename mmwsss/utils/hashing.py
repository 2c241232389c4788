"""Hashes of weights."""

import hashlib

import torch
from torch import Tensor, nn

__all__ = ['weights_hash']


def weights_hash(model: nn.Module) -> str:
    """Compute the SHA-256 of a model's parameters and buffers with their names, in hexadecimal."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        if isinstance(value, Tensor):
            digest.update(f'{name} {value.dtype} {tuple(value.shape)}'.encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
