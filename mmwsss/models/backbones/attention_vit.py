"""The Vision Transformer that all ViT-based methods share: mmpretrain's, which also hands out what heads ask for."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Optional, Union

import torch
from mmengine.model.weight_init import trunc_normal_
from mmpretrain.models import VisionTransformer
from mmpretrain.models.utils import resize_pos_embed
from torch import Tensor, nn
from torch.nn import functional as F

from mmwsss.registry import MODELS

from .attention import (
    AttentionFn,
    ScoreFactors,
    TraceFn,
    hand_out_attention,
    head_mean,
    layer_class_tokens,
    layer_with_factors,
    layer_with_trace,
)

__all__ = ['AttentionViT', 'ViTTokens']


class ViTTokens(NamedTuple):
    """What one pass through :class:`AttentionViT` gives.

    Attributes:
        class_tokens: (B, M, D) class tokens after the final norm, if it is applied.
        patch_tokens: (B, D, h, w) patch tokens likewise, or None if only class tokens were asked for.
        hidden: layer index -> (B, D, h, w) patch tokens of the raw residual stream after that layer.
        attentions: layer index -> what the attention function returned for that layer.
        patch_scores: layer index -> factors of the scores between patches, or None if not asked for.
    """

    class_tokens: Tensor
    patch_tokens: Optional[Tensor]
    hidden: dict[int, Tensor]
    attentions: dict[int, Any]
    patch_scores: Optional[dict[int, ScoreFactors]] = None


def to_map(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """Turn row-major patch tokens (B, N, D) into a feature map (B, D, h, w)."""
    return tokens.transpose(1, 2).unflatten(2, grid)


@MODELS.register_module()
class AttentionViT(VisionTransformer):
    """mmpretrain's ``VisionTransformer`` with several class tokens, intermediate tokens and attention on request.

    Layers whose attention nobody asks for run on fused attention. Parameters are named as in mmpretrain, so that
    its checkpoints load; official DeiT / timm files load through the ``timm+`` checkpoint prefix.

    Input sizes are free: a remainder below one patch at the right and bottom is dropped, and the position
    embedding is resized to the token grid at every pass.

    Args:
        num_class_tokens: M, number of class tokens in front of the patch tokens. From a checkpoint with a single
            class token each of the M tokens and its position row start as a copy (MCTformer, CVPR 2022, Sec. 3).
        class_token_std: Standard deviation of normal noise on these copies, which training otherwise has to tell apart
            first; 0 as published.
        freeze_pos_embed: Keep the position embedding fixed, as ToCo does.
        raw_output: Give the residual stream of the last layer. The final norm is then not applied; its parameters stay
            for checkpoints that hold them, frozen (MCTformer, WeakTr, AReAM).
        pos_embed_grid: How the embedding is resized: ``'size'`` to the exact token grid, or ``'scale'`` by the
            factor ``(h + 0.1) / h0``, whose sampling positions differ slightly (DINO's form; MCTformer, WeakTr).
        patch_cfg: As in mmpretrain; ``padding=0`` unless given.
        **kwargs: As in mmpretrain's ``VisionTransformer``; ``out_type`` is ``'featmap'`` unless given.
    """

    def __init__(self,
                 arch: Union[str, dict] = 'deit-base',
                 num_class_tokens: int = 1,
                 class_token_std: float = 0.,
                 freeze_pos_embed: bool = False,
                 pos_embed_grid: str = 'size',
                 raw_output: bool = False,
                 patch_cfg: Optional[dict] = None,
                 out_type: str = 'featmap',
                 **kwargs) -> None:
        if num_class_tokens < 1:
            raise ValueError(f'num_class_tokens must be at least 1, got {num_class_tokens}')
        if pos_embed_grid not in ('size', 'scale'):
            raise ValueError(f"pos_embed_grid must be 'size' or 'scale', got {pos_embed_grid!r}")
        super().__init__(
            arch=arch, out_type=out_type, patch_cfg={'padding': 0, **(patch_cfg or {})}, **kwargs)
        self.pos_embed_grid = pos_embed_grid
        self.raw_output = raw_output
        self.class_token_std = class_token_std
        self.num_extra_tokens = num_class_tokens
        self.patch_size = self.patch_embed.projection.stride
        if num_class_tokens > 1:
            num_patches = self.patch_resolution[0] * self.patch_resolution[1]
            self.cls_token = nn.Parameter(torch.zeros(1, num_class_tokens, self.embed_dims))
            self.pos_embed = nn.Parameter(
                torch.zeros(1, num_class_tokens + num_patches, self.embed_dims))
        self.pos_embed.requires_grad_(not freeze_pos_embed)
        if raw_output and self.final_norm:
            self.ln1.requires_grad_(False)

    def init_weights(self) -> None:
        """Initialise as mmpretrain does; several class tokens would stay identical at zero, so they are drawn."""
        if self.num_extra_tokens > 1:
            trunc_normal_(self.cls_token, std=0.02)
        super().init_weights()

    def _prepare_pos_embed(self, state_dict: dict, prefix: str, *args, **kwargs) -> None:
        """Copy a single class token and its position row to all M, before mmpretrain resizes the grid."""
        num_tokens = self.num_extra_tokens
        cls_name, pos_name = prefix + 'cls_token', prefix + 'pos_embed'
        if num_tokens > 1 and cls_name in state_dict and state_dict[cls_name].shape[1] == 1:
            copies = state_dict[cls_name].repeat(1, num_tokens, 1)
            state_dict[cls_name] = copies + self.class_token_std * torch.randn_like(copies)
            if pos_name in state_dict:
                rows = state_dict[pos_name]
                state_dict[pos_name] = torch.cat(
                    [rows[:, :1].repeat(1, num_tokens, 1), rows[:, 1:]], dim=1)
        super()._prepare_pos_embed(state_dict, prefix, *args, **kwargs)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Give the outputs of ``out_indices`` as mmpretrain does: (B, D, h, w) maps, the last one normalised."""
        if self.out_type != 'featmap':
            return super().forward(x)
        last = self.num_layers - 1
        tokens = self.forward_tokens(x, hidden=[i for i in self.out_indices if i != last])
        return tuple(tokens.patch_tokens if i == last else tokens.hidden[i]
                     for i in self.out_indices)

    def forward_tokens(self,
                       x: Tensor,
                       hidden: Sequence[int] = (),
                       attention: Sequence[int] = (),
                       attention_fn: AttentionFn = head_mean,
                       attention_logits: bool = False,
                       class_tokens_only: bool = False,
                       patch_scores: Sequence[int] = (),
                       trace_fn: Optional[TraceFn] = None) -> ViTTokens:
        """Run the encoder and keep only what is named.

        Args:
            x: (B, 3, H, W) normalised images.
            hidden: Layers whose patch tokens are returned; negative indices count from the end.
            attention: Layers whose attention is handed to ``attention_fn``; negative indices as above.
            attention_fn: Called as ``attention_fn(layer, attention)`` with attention (B, heads, T, T), T = M + h*w,
                class tokens first. Only its result is kept, so it should reduce what it gets. If it has ``add_head``,
                it may get one head at a time instead, see :func:`hand_out_attention`.
            attention_logits: Hand out the scaled products before softmax instead of probabilities.
            class_tokens_only: The caller needs no patch tokens: the last layer then computes the class tokens
                alone, which are the same to rounding.
            patch_scores: Layers of which the scores between patches before softmax are given, averaged over heads, as
                :class:`~mmwsss.models.backbones.attention.ScoreFactors`. They carry a gradient.
            trace_fn: Called as ``trace_fn(layer, trace)`` for every layer, with its detached
                :class:`~mmwsss.models.backbones.attention.LayerTrace`. While training, attention that needs no gradient
                costs less memory this way: the layer keeps no map for the backward pass.

        Returns:
            See :class:`ViTTokens`.

        Raises:
            IndexError: If a layer index does not exist.
        """
        hidden, attention, patch_scores = (
            {self._layer_index(i) for i in layers} for layers in (hidden, attention, patch_scores))
        x, grid = self._embed(x)
        num_tokens = self.num_extra_tokens
        kept_hidden, kept_attention, kept_scores = {}, {}, {}
        for i, layer in enumerate(self.layers):
            last = class_tokens_only and i == self.num_layers - 1
            first = num_tokens if last else None
            if trace_fn is not None or i in attention & patch_scores:
                x, trace = layer_with_trace(layer, x)
                if i in attention:
                    kept_attention[i] = attention_fn(i, trace.attention(attention_logits))
                if i in patch_scores:
                    kept_scores[i] = trace.factors(num_tokens)
                if trace_fn is not None:
                    trace_fn(i, trace.detach())
                x = x[:, :first]
                del trace
            elif i in attention:
                x, kept_attention[i] = hand_out_attention(layer, x, i, attention_fn, attention_logits, first)
            elif i in patch_scores:
                x, kept_scores[i] = layer_with_factors(layer, x, num_tokens, first)
            elif last:
                x = layer_class_tokens(layer, x, num_tokens)
            else:
                x = layer(x)
            if i in hidden:
                kept_hidden[i] = to_map(x[:, num_tokens:], grid)
        if self.final_norm and not self.raw_output:
            x = self.ln1(x)
        patches = None if class_tokens_only else to_map(x[:, num_tokens:], grid)
        return ViTTokens(x[:, :num_tokens], patches, kept_hidden, kept_attention, kept_scores or None)

    def token_grid(self, size: Sequence[int]) -> tuple[int, int]:
        """Give the number of patches (h, w) in rows and columns of an image of ``size`` (H, W)."""
        return size[0] // self.patch_size[0], size[1] // self.patch_size[1]

    def _layer_index(self, index: int) -> int:
        if not -self.num_layers <= index < self.num_layers:
            raise IndexError(f'layer {index} does not exist: the backbone has {self.num_layers} layers')
        return index % self.num_layers

    def _embed(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Turn images (B, 3, H, W) into the token sequence (B, M + h*w, D) that enters the first layer."""
        x, grid = self.patch_embed(x)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1)
        x = x + self._pos_embed_for(grid)
        return self.pre_norm(self.drop_after_pos(x)), tuple(grid)

    def _pos_embed_for(self, grid: tuple[int, int]) -> Tensor:
        if self.pos_embed_grid == 'size':
            return resize_pos_embed(self.pos_embed, self.patch_resolution, grid,
                                    self.interpolate_mode, self.num_extra_tokens)
        return scale_pos_embed(self.pos_embed, self.patch_resolution, grid,
                               self.interpolate_mode, self.num_extra_tokens)


def scale_pos_embed(pos_embed: Tensor, source: tuple[int, int], target: tuple[int, int], mode: str,
                    num_extra_tokens: int) -> Tensor:
    """Resize a position embedding (1, M + h0*w0, D) to (1, M + h*w, D) by the factor ``(h + 0.1) / h0``.

    The factor itself sets the sampling positions, which therefore differ from a resize to the exact size.
    """
    if tuple(source) == tuple(target):
        return pos_embed
    extra, rows = pos_embed[:, :num_extra_tokens], pos_embed[:, num_extra_tokens:]
    factor = [(new + 0.1) / old for new, old in zip(target, source)]
    rows = F.interpolate(
        to_map(rows, tuple(source)), scale_factor=factor, mode=mode, align_corners=False)
    return torch.cat([extra, rows.flatten(2).transpose(1, 2)], dim=1)
