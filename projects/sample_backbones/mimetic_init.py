"""Initialization of a small transformer for training on little data."""

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.models.utils import MultiheadAttention
from torch import Tensor, nn

from mmwsss.registry import HOOKS

__all__ = ['MimeticInitHook', 'mimetic_init', 'sincos_grid']


def sincos_grid(height: int, width: int, channels: int) -> Tensor:
    """Compute sine-cosine position embeddings.

    Args:
        height: Rows of the token grid.
        width: Columns of the token grid.
        channels: Width of the tokens, divisible by 4: a quarter each for the sine and cosine of row and column.

    Returns:
        Tensor (height * width, channels), row-major, in [-1, 1].

    Raises:
        ValueError: ``channels`` is not divisible by 4.
    """
    if channels % 4:
        raise ValueError(f'channels must be divisible by 4, got {channels}')
    waves = 1 / 100**torch.linspace(0, 1, channels // 4)
    rows, cols = torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij')
    parts = [func(axis.reshape(-1, 1) * waves) for axis in (rows, cols) for func in (torch.sin, torch.cos)]
    return torch.cat(parts, dim=1)


def _near_identity(channels: int, noise: float, identity: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the singular value decomposition of ``noise * Z + identity * I`` with Z of variance 1 / channels."""
    matrix = noise * torch.randn(channels, channels) / channels**0.5 + identity * torch.eye(channels)
    return torch.linalg.svd(matrix)


@torch.no_grad()
def mimetic_init(backbone: nn.Module, position_scale: float = 0.5) -> None:
    """Initialize a transformer with the weight statistics of a trained one.

    This is mimetic initialization of self-attention (ICML 2023).

    In every layer, each head's query and key product starts near 0.7 I and the value and projection product near
    -0.4 I; position embeddings, where there are any, are sines and cosines. From the first step on, tokens attend to
    those that are like them, and with positions to those close by.

    Args:
        backbone: mmpretrain's ``VisionTransformer`` with one class token, or its ``Conformer``, changed in place.
        position_scale: Amplitude of the position embeddings.
    """
    if getattr(backbone, 'pos_embed', None) is not None:
        height, width = backbone.patch_resolution
        grid = sincos_grid(height, width, backbone.embed_dims) * position_scale
        backbone.pos_embed.copy_(torch.cat([torch.zeros(1, backbone.embed_dims), grid])[None])
    for module in backbone.modules():
        if isinstance(module, MultiheadAttention):
            _mimetic_attention(module)


def _mimetic_attention(attn: MultiheadAttention) -> None:
    """Start one layer's queries, keys, values and projection."""
    dims = attn.embed_dims
    queries, keys = [], []
    for _ in range(attn.num_heads):
        left, scale, right = _near_identity(dims, 0.7, 0.7)
        root = scale[:attn.head_dims].sqrt()
        queries.append((left[:, :attn.head_dims] * root).T)
        keys.append(right[:attn.head_dims] * root[:, None])
    left, scale, right = _near_identity(dims, 0.4, -0.4)
    values, projection = (left * scale.sqrt()).T, (scale.sqrt()[:, None] * right).T
    attn.qkv.weight.copy_(torch.cat([*queries, *keys, values]))
    if attn.qkv.bias is not None:
        attn.qkv.bias.zero_()
    attn.proj.weight.copy_(projection)


@HOOKS.register_module()
class MimeticInitHook(Hook):
    """Apply :func:`mimetic_init` to ``model.backbone`` before a run that starts from scratch.

    Args:
        position_scale: Amplitude of the position embeddings.
    """

    def __init__(self, position_scale: float = 0.5) -> None:
        self.position_scale = position_scale

    def before_train(self, runner: Runner) -> None:
        """Initialize unless the run was resumed."""
        if runner.iter:
            return
        model = getattr(runner.model, 'module', runner.model)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(runner.seed or 0)
            mimetic_init(model.backbone, self.position_scale)
