"""The Conformer that TransCAM builds on: mmpretrain's, with a CNN map on the token grid and attention on request."""

from collections.abc import Sequence
from typing import Any, Callable, NamedTuple, Union

import torch
from mmpretrain.models import Conformer
from torch import Tensor, nn

from mmwsss.registry import MODELS

from .attention import AttentionFn, hand_out_attention, head_mean

__all__ = ['AttentionConformer', 'ConformerTokens']


class ConformerTokens(NamedTuple):
    """What one pass through :class:`AttentionConformer` gives.

    Attributes:
        class_tokens: (B, 1, D) class token after the final norm.
        features: (B, c, h, w) last map of the CNN branch.
        attentions: layer index -> what the attention function returned for that layer.
    """

    class_tokens: Tensor
    features: Tensor
    attentions: dict[int, Any]


@MODELS.register_module()
class AttentionConformer(Conformer):
    """mmpretrain's ``Conformer`` with changes that leave its parameters as they are, so that its checkpoints load.

    * The last unit of the CNN branch has stride 1 in both its spatial and its shortcut convolution, so that the map
      has the grid of the tokens (TransCAM, Sec. 3.2).
    * Drop path acts in the transformer blocks only, not in the CNN branch.
    * :meth:`forward_tokens` hands out attention; layers whose attention nobody asks for run on fused attention.

    There is no position embedding. Input sizes are free; if the stride of the tokens (16 pixels by default) does not
    divide them, the stem's output is padded with zeros at the right and bottom, and the maps cover the padding too.

    Args:
        arch: ``'tiny'``, ``'small'``, ``'base'``, or a dict with ``embed_dims``, ``depths``, ``num_heads`` and
            ``channel_ratio``.
        last_stride: Stride of the last unit; 2 is mmpretrain's.
        stem_stride: 4, or 2 for small images: the stem's pooling then has stride 1, and all grids are twice as fine.
        drop_path_rate: Rate of the last transformer block; it grows linearly from 0 at the first.
        **kwargs: As in mmpretrain's ``Conformer``.

    Raises:
        ValueError: If the architecture, the depth or a stride is none of the above.
    """

    def __init__(self,
                 arch: Union[str, dict] = 'small',
                 last_stride: int = 1,
                 stem_stride: int = 4,
                 drop_path_rate: float = 0.,
                 **kwargs) -> None:
        _check_arch(arch)
        for name, value, allowed in (('last_stride', last_stride, (1, 2)), ('stem_stride', stem_stride, (2, 4))):
            if value not in allowed:
                raise ValueError(f'{name} must be one of {allowed}, got {value!r}')
        super().__init__(arch=arch, drop_path_rate=drop_path_rate, **kwargs)
        self.maxpool.stride = stem_stride // 2
        self.patch_size = tuple(stem_stride * stride for stride in self.trans_patch_conv.stride)
        blocks = self._coupled_blocks()
        for block in blocks:
            block.fusion_block.drop_path = nn.Identity()
        last = blocks[-1].fusion_block
        last.conv2.stride = last.residual_conv.stride = (last_stride, last_stride)

    @property
    def num_layers(self) -> int:
        """Number of transformer blocks."""
        return self.depths

    def _coupled_blocks(self) -> list[nn.Module]:
        """The blocks after the first: a CNN part and a transformer block each."""
        return [getattr(self, f'conv_trans_{i}') for i in range(2, self.depths + 1)]

    def forward_tokens(self,
                       x: Tensor,
                       attention: Sequence[int] = (),
                       attention_fn: AttentionFn = head_mean) -> ConformerTokens:
        """Run both branches and keep only what is named.

        Args:
            x: (B, 3, H, W) normalised images.
            attention: Transformer blocks, counted from 0, whose attention is handed to ``attention_fn``; negative
                indices count from the end.
            attention_fn: Called as ``attention_fn(layer, attention)`` with probabilities (B, heads, T, T),
                T = 1 + h*w, rows are queries, the class token first. Only its result is kept, so it should reduce
                what it gets.

        Returns:
            See :class:`ConformerTokens`.

        Raises:
            IndexError: If a layer index does not exist.
        """
        wanted = {self._layer_index(i) for i in attention}
        kept = {}

        def encode(layer: int, block: nn.Module, tokens: Tensor) -> Tensor:
            if layer not in wanted:
                return block(tokens)
            tokens, kept[layer] = hand_out_attention(block, tokens, layer, attention_fn)
            return tokens

        stem = self.auto_pad(self.maxpool(self.act1(self.bn1(self.conv1(x)))))
        features = self.conv_1(stem, out_conv2=False)
        patches = self.trans_patch_conv(stem)
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), patches.flatten(2).transpose(1, 2)], dim=1)
        tokens = encode(0, self.trans_1, tokens)
        for layer, block in enumerate(self._coupled_blocks(), start=1):
            features, tokens = _couple(block, features, tokens, patches.shape[-2:], layer, encode)
        return ConformerTokens(self.trans_norm(tokens[:, :1]), features, kept)

    def _layer_index(self, index: int) -> int:
        if not -self.depths <= index < self.depths:
            raise IndexError(f'layer {index} does not exist: the backbone has {self.depths} layers')
        return index % self.depths


def _couple(block: nn.Module, features: Tensor, tokens: Tensor, grid: Sequence[int], layer: int,
            encode: Callable[[int, nn.Module, Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Run one of mmpretrain's ``ConvTransBlock``, with ``encode`` in place of its transformer block."""
    features, inner = block.cnn_block(features)
    tokens = encode(layer, block.trans_block, block.squeeze_block(inner, tokens) + tokens)
    fused = block.fusion_block(features, fusion_features=block.expand_block(tokens, *grid), out_conv2=False)
    return fused, tokens


def _check_arch(arch: Union[str, dict]) -> None:
    """Refuse what mmpretrain would build wrongly or answer with a bare assertion."""
    keys = {'embed_dims', 'depths', 'num_heads', 'channel_ratio'}
    if isinstance(arch, str):
        if arch.lower() not in Conformer.arch_zoo:
            raise ValueError(f'arch must be one of {sorted(Conformer.arch_zoo)} or a dict, got {arch!r}')
        return
    if set(arch) != keys:
        raise ValueError(f'arch must have the keys {sorted(keys)}, got {sorted(arch)}')
    if arch['depths'] < 3 or arch['depths'] % 3:
        raise ValueError(f"arch['depths'] must be a multiple of 3, as there are three stages, got {arch['depths']}")
