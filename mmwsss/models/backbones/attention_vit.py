"""The Vision Transformer that all ViT-based methods share: mmpretrain's, whose layers can be observed."""

from typing import ClassVar, Optional, Union

import torch
from mmengine.model.weight_init import trunc_normal_
from mmpretrain.models import VisionTransformer
from mmpretrain.models.utils import resize_pos_embed
from torch import Tensor, nn
from torch.nn import functional as F

from mmwsss.registry import MODELS

from ..utils import is_recording
from .features import Features, LayerRunner, ObservableBackbone, Request, TokenLayout, to_map
from .pretrained import resize_patch_kernel

__all__ = ['AttentionViT']


@MODELS.register_module()
class AttentionViT(ObservableBackbone, VisionTransformer):
    """mmpretrain's ``VisionTransformer`` with several class tokens, intermediate tokens and attention on request.

    :func:`~mmwsss.models.extract_features` runs it. Parameters are named as in mmpretrain, so that
    its checkpoints load; official DeiT / timm files load through the ``timm+`` checkpoint prefix.

    Input sizes are free: a remainder below one patch at the right and bottom is dropped, and the position
    embedding is resized to the token grid at every pass.

    Args:
        arch: As in mmpretrain, or one of DINOv2's sizes that it does not list: ``'dinov2-b'`` and ``'dinov2-l'``.
        num_class_tokens: M, number of class tokens in front of the patch tokens. From a checkpoint with a single
            class token each of the M tokens and its position row start as a copy (MCTformer, CVPR 2022, Sec. 3).
        class_token_std: Standard deviation of normal noise on these copies, which makes them differ from the start;
            0 as published.
        freeze_pos_embed: Keep the position embedding fixed, as ToCo does.
        frozen_stages: Number of first layers that keep their weights, and with them the patch and position embeddings
            and a single class token. Several class tokens, which no checkpoint of one has learned, are trained. 0 or
            less: everything is trained.
        raw_output: Return the residual stream of the last layer. The final norm is then not applied; its parameters
            stay for checkpoints that hold them, frozen (MCTformer, WeakTr, AReAM).
        pos_embed_grid: How the embedding is resized: ``'size'`` to the exact token grid, or ``'scale'`` by the
            factor ``(h + 0.1) / h0``, whose sampling positions differ slightly (DINO's form; MCTformer, WeakTr).
        pos_embed_start: How the embedding of a checkpoint becomes that of another grid when it is loaded:
            ``'interpolate'``, as ``interpolate_mode`` says, or ``'repeat'``: the nearest entry (MCTformer+).
        resize_patch_embed: Resize the patch convolution of a checkpoint with another patch size bicubically.
        patch_cfg: As in mmpretrain; ``padding=0`` unless given.
        **kwargs: As in mmpretrain's ``VisionTransformer``; ``out_type`` is ``'featmap'`` unless given.
    """

    arch_zoo: ClassVar[dict] = {
        **VisionTransformer.arch_zoo,
        **dict.fromkeys(['dinov2-b', 'dinov2-base'], VisionTransformer.arch_zoo['base']),
        **dict.fromkeys(['dinov2-l', 'dinov2-large'], VisionTransformer.arch_zoo['large'])}

    def __init__(self,
                 arch: Union[str, dict] = 'deit-base',
                 num_class_tokens: int = 1,
                 class_token_std: float = 0.,
                 freeze_pos_embed: bool = False,
                 frozen_stages: int = -1,
                 pos_embed_grid: str = 'size',
                 raw_output: bool = False,
                 pos_embed_start: str = 'interpolate',
                 resize_patch_embed: bool = False,
                 patch_cfg: Optional[dict] = None,
                 out_type: str = 'featmap',
                 **kwargs) -> None:
        if num_class_tokens < 1:
            raise ValueError(f'num_class_tokens must be at least 1, got {num_class_tokens}')
        if pos_embed_grid not in ('size', 'scale'):
            raise ValueError(f"pos_embed_grid must be 'size' or 'scale', got {pos_embed_grid!r}")
        if pos_embed_start not in ('interpolate', 'repeat'):
            raise ValueError(f"pos_embed_start must be 'interpolate' or 'repeat', got {pos_embed_start!r}")
        super().__init__(
            arch=arch, out_type=out_type, patch_cfg={'padding': 0, **(patch_cfg or {})}, **kwargs)
        self.pos_embed_grid = pos_embed_grid
        self.raw_output = raw_output
        self.pos_embed_start = pos_embed_start
        self.resize_patch_embed = resize_patch_embed
        self.class_token_std = class_token_std
        self.num_extra_tokens = num_class_tokens
        self.patch_size = self.patch_embed.projection.stride
        if num_class_tokens > 1:
            num_patches = self.patch_resolution[0] * self.patch_resolution[1]
            self.cls_token = nn.Parameter(torch.zeros(1, num_class_tokens, self.embed_dims))
            self.pos_embed = nn.Parameter(
                torch.zeros(1, num_class_tokens + num_patches, self.embed_dims))
        if frozen_stages > self.num_layers:
            raise ValueError(
                f'frozen_stages must be at most {self.num_layers}, the number of layers, got {frozen_stages}')
        self.frozen_stages = frozen_stages
        if frozen_stages > 0:  # here, because mmpretrain does not know the parameters above
            self._freeze_stages()
            self.cls_token.requires_grad_(num_class_tokens > 1)
        if freeze_pos_embed:
            self.pos_embed.requires_grad_(False)
        if raw_output and self.final_norm:
            self.ln1.requires_grad_(False)

    def init_weights(self) -> None:
        """Initialize as mmpretrain does, but draw several class tokens, which would stay identical if zero."""
        if self.num_extra_tokens > 1:
            trunc_normal_(self.cls_token, std=0.02)
        super().init_weights()

    def _prepare_pos_embed(self, state_dict: dict, prefix: str, *args, **kwargs) -> None:
        """Copy a single class token and its position row to all M, before mmpretrain resizes the grid."""
        if self.resize_patch_embed:
            resize_patch_kernel(state_dict, f'{prefix}patch_embed.projection.weight', self.patch_size)
        num_tokens = self.num_extra_tokens
        cls_name, pos_name = prefix + 'cls_token', prefix + 'pos_embed'
        if num_tokens > 1 and cls_name in state_dict and state_dict[cls_name].shape[1] == 1:
            copies = state_dict[cls_name].repeat(1, num_tokens, 1)
            state_dict[cls_name] = copies + self.class_token_std * torch.randn_like(copies)
            if pos_name in state_dict:
                rows = state_dict[pos_name]
                state_dict[pos_name] = torch.cat(
                    [rows[:, :1].repeat(1, num_tokens, 1), rows[:, 1:]], dim=1)
        if self.pos_embed_start == 'repeat' and pos_name in state_dict:
            state_dict[pos_name] = repeat_pos_embed(state_dict[pos_name], self.patch_resolution, num_tokens)
        super()._prepare_pos_embed(state_dict, prefix, *args, **kwargs)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs of ``out_indices`` as mmpretrain does: (B, D, h, w) maps, the last one normalized."""
        if self.out_type != 'featmap':
            return super().forward(x)
        last = self.num_layers - 1
        features = self.encode(x, Request(hidden=tuple(i for i in self.out_indices if i != last)))
        return tuple(features.maps[-1] if i == last else features.hidden[i] for i in self.out_indices)

    def encode(self, images: Tensor, request: Request) -> Features:
        """Run images (B, 3, H, W) and keep what is requested; see :func:`~mmwsss.models.extract_features`.

        The last map and the class tokens are those after the final norm, if it is applied; hidden maps are of the raw
        residual stream.
        """
        x, grid = self._embed(images)
        runner = LayerRunner(request, TokenLayout(
            self.num_layers, self.layers[0].attn.num_heads, self.num_extra_tokens, grid))
        for index, layer in enumerate(self.layers):
            x = runner.run(index, layer, x)
        if self.final_norm and not self.raw_output:
            x = self.ln1(x)
        class_tokens, patches = x[:, :self.num_extra_tokens], x[:, self.num_extra_tokens:]
        return runner.features([to_map(patches, grid)] if request.maps else (), class_tokens)

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
    recording = is_recording()  # for every size, also where this one is that of the embedding
    if tuple(source) == tuple(target) and not recording:
        return pos_embed
    extra, rows = pos_embed[:, :num_extra_tokens], pos_embed[:, num_extra_tokens:]
    rows = to_map(rows, tuple(source))
    if recording:
        rows = _sample(rows, target, mode)
    else:
        factor = [(new + 0.1) / old for new, old in zip(target, source)]
        rows = F.interpolate(rows, scale_factor=factor, mode=mode, align_corners=False)
    return torch.cat([extra, rows.flatten(2).transpose(1, 2)], dim=1)


def repeat_pos_embed(pos_embed: Tensor, target: tuple[int, int], num_extra_tokens: int) -> Tensor:
    """Resize a position embedding (1, M + s*s, D) of a square grid to (1, M + h*w, D) by repeating entries."""
    extra, rows = pos_embed[:, :num_extra_tokens], pos_embed[:, num_extra_tokens:]
    side = int(rows.shape[1]**0.5)
    rows = F.interpolate(to_map(rows, (side, side)), size=tuple(target), mode='nearest')
    return torch.cat([extra, rows.flatten(2).transpose(1, 2)], dim=1)


def _sample(rows: Tensor, target: tuple[int, int], mode: str) -> Tensor:
    """Resize the rows (1, D, h0, w0) of :func:`scale_pos_embed` by operations on tensors alone, for a graph."""
    centers = [torch.arange(new, device=rows.device, dtype=rows.dtype) + 0.5 for new in target]
    sizes = [middle[-1] + 0.5 for middle in centers]
    extra = 0.1 * sum((new - old).abs() for new, old in zip(sizes, rows.shape[2:])).clamp(max=1)
    # In grid_sample's units, -1 and 1 are the edges of the embedding.
    places = [2 * middle / (new + extra) - 1 for middle, new in zip(centers, sizes)]
    grid = torch.stack(torch.meshgrid(*places, indexing='ij')[::-1], dim=-1)
    return F.grid_sample(rows, grid[None], mode, padding_mode='border', align_corners=False)
