"""EVA-02's Vision Transformer: rotary position embeddings as its authors compute them, keys without bias."""

from functools import lru_cache
from typing import Optional, Union

import torch
from mmengine.model import BaseModule
from mmpretrain.models import ViTEVA02
from torch import Tensor, nn
from torch.nn import functional as F

from mmwsss.registry import MODELS

from .attention import split_heads
from .pretrained import resize_patch_kernel

__all__ = ['EVA02ViT', 'RotaryAttention', 'rotary_factors']


@MODELS.register_module()
class EVA02ViT(ViTEVA02):
    """mmpretrain's ``ViTEVA02`` with the attention of EVA-02's authors (arXiv 2303.11331).

    Two things differ from mmpretrain. Its rotary embeddings are those of the authors only while the angles that came
    with a checkpoint are kept; here the angles are computed for the grid of the input, and are no part of the weights.
    And keys have no bias, as the authors train it: with rotary embeddings, a bias of keys would change the result.

    Args:
        arch: As in mmpretrain: ``'small'``, for instance.
        rotary_grid: Rows and columns of the grid of pretraining, to which the positions of any grid are scaled.
        resize_patch_embed: Resize the patch convolution of a checkpoint with another patch size bicubically.
        patch_cfg: As in mmpretrain; ``padding=0`` unless given, so that a remainder below one patch is dropped.
        out_type: As in mmpretrain.
        **kwargs: As in mmpretrain.
    """

    def __init__(self,
                 arch: Union[str, dict] = 'small',
                 rotary_grid: int = 16,
                 resize_patch_embed: bool = False,
                 patch_cfg: Optional[dict] = None,
                 out_type: str = 'featmap',
                 **kwargs) -> None:
        super().__init__(arch=arch, out_type=out_type, patch_cfg={'padding': 0, **(patch_cfg or {})}, **kwargs)
        self.patch_size = self.patch_embed.projection.stride
        self.resize_patch_embed = resize_patch_embed
        del self.rope
        for layer in self.layers:
            old = layer.attn
            layer.attn = RotaryAttention(self.embed_dims, old.num_heads, rotary_grid, old.attn_drop.p,
                                         old.proj_drop.p)

    def _prepare_pos_embed(self, state_dict: dict, prefix: str, *args, **kwargs) -> None:
        if self.resize_patch_embed:
            resize_patch_kernel(state_dict, f'{prefix}patch_embed.projection.weight', self.patch_size)
        super()._prepare_pos_embed(state_dict, prefix, *args, **kwargs)


class RotaryAttention(BaseModule):
    """Multi-head attention that rotates queries and keys by their positions; the first token has none.

    Args:
        embed_dims: D.
        num_heads: Number of heads; each has a multiple of 4 channels.
        rotary_grid: See :func:`rotary_factors`.
        attn_drop: Dropout of attention.
        proj_drop: Dropout of the output.
    """

    def __init__(self, embed_dims: int, num_heads: int, rotary_grid: int = 16, attn_drop: float = 0.,
                 proj_drop: float = 0.) -> None:
        super().__init__()
        self.num_heads, self.head_dims = num_heads, embed_dims // num_heads
        self.rotary_grid, self.attn_drop = rotary_grid, attn_drop
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(embed_dims))
        self.v_bias = nn.Parameter(torch.zeros(embed_dims))
        self.proj = nn.Linear(embed_dims, embed_dims)
        self.proj_drop = nn.Dropout(proj_drop)

    def forward(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """Attend over a class token and the patch tokens of a grid: (B, 1 + h*w, D) of the same shape."""
        bias = torch.cat([self.q_bias, torch.zeros_like(self.v_bias), self.v_bias])
        query, key, value = (split_heads(self, part) for part in F.linear(x, self.qkv.weight, bias).chunk(3, dim=2))
        factors = rotary_factors(tuple(grid), self.head_dims, self.rotary_grid, x.device)
        query, key = (_rotate_patches(part, *factors).to(value) for part in (query, key))
        attended = F.scaled_dot_product_attention(
            query, key, value, dropout_p=self.attn_drop if self.training else 0.)
        return self.proj_drop(self.proj(attended.transpose(1, 2).flatten(2)))


@lru_cache(maxsize=16)
def rotary_factors(grid: tuple[int, int], dims: int, rotary_grid: int = 16,
                   device: Optional[torch.device] = None) -> tuple[Tensor, Tensor]:
    """Compute the cosines and sines of EVA-02's rotary position embedding.

    The first half of the channels turns with the row, the second half with the column. Positions of all grids span
    the same range, 0 to ``rotary_grid``.

    Args:
        grid: Rows h and columns w of the patches.
        dims: Channels of a head, a multiple of 4; neighbors share an angle.
        rotary_grid: Rows and columns of the grid of pretraining.
        device: Of the result.

    Returns:
        Cosines and sines, each (h * w, dims).
    """
    half = dims // 2
    with torch.inference_mode(False):  # what is kept serves training, too
        frequencies = 10000. ** -(torch.arange(0, half, 2, device=device).float() / half)
        positions = (torch.arange(size, device=device)[:, None] / size * rotary_grid for size in grid)
        rows, cols = ((position * frequencies).repeat_interleave(2, dim=1) for position in positions)
        angles = torch.cat([rows[:, None].expand(-1, grid[1], -1), cols[None].expand(grid[0], -1, -1)], dim=2)
        return angles.flatten(0, 1).cos(), angles.flatten(0, 1).sin()


def _rotate_patches(tokens: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Rotate pairs of neighboring channels of all but the first token of (B, heads, 1 + N, d)."""
    patches = tokens[:, :, 1:]
    turned = torch.stack([-patches[..., 1::2], patches[..., ::2]], dim=-1).flatten(-2)
    return torch.cat([tokens[:, :, :1], patches * cosines + turned * sines], dim=2)
