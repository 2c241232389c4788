"""The Conformer that TransCAM builds on: mmpretrain's, with a CNN map on the token grid and observable layers."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Union

import torch
from mmpretrain.models import Conformer
from torch import Tensor, nn

from mmwsss.registry import MODELS

from ..utils import is_recording
from .features import Features, LayerRunner, ObservableBackbone, Request, TokenLayout

__all__ = ['AttentionConformer']


@MODELS.register_module()
class AttentionConformer(ObservableBackbone, Conformer):
    """mmpretrain's ``Conformer`` with changes that leave its parameters as they are, so that its checkpoints load.

    * The last unit of the CNN branch has stride 1 in both its spatial and its shortcut convolution, so that the map
      has the grid of the tokens (TransCAM, Sec. 3.2).
    * Drop path acts in the transformer blocks only, not in the CNN branch.
    * :func:`~mmwsss.models.extract_features` can observe its transformer blocks.

    There is no position embedding. Input sizes are free; if the stride of the tokens (16 pixels by default) does not
    divide them, the stem's output is padded with zeros at the right and bottom, and the maps cover the padding too.

    Args:
        arch: ``'tiny'``, ``'small'``, ``'base'``, or a dict with ``embed_dims``, ``depths``, ``num_heads`` and
            ``channel_ratio``.
        last_stride: Stride of the last unit; 2 is mmpretrain's.
        double_class_token: Whether the class token is added to itself before every block, as the published Conformer
            does; AReAM's code does not.
        stem_stride: 4, or 2 for small images: the stem's pooling then has stride 1, and all grids are twice as fine.
        drop_path_rate: Rate of the last transformer block; it grows linearly from 0 at the first.
        **kwargs: As in mmpretrain's ``Conformer``.

    Raises:
        ValueError: If the architecture, the depth or a stride is none of the above.
    """

    def __init__(self,
                 arch: Union[str, dict] = 'small',
                 last_stride: int = 1,
                 double_class_token: bool = True,
                 stem_stride: int = 4,
                 drop_path_rate: float = 0.,
                 **kwargs) -> None:
        _check_arch(arch)
        for name, value, allowed in (('last_stride', last_stride, (1, 2)), ('stem_stride', stem_stride, (2, 4))):
            if value not in allowed:
                raise ValueError(f'{name} must be one of {allowed}, got {value!r}')
        super().__init__(arch=arch, drop_path_rate=drop_path_rate, **kwargs)
        self.double_class_token = double_class_token
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
        """The blocks after the first, each with a CNN part and a transformer block."""
        return [getattr(self, f'conv_trans_{i}') for i in range(2, self.depths + 1)]

    def encode(self, images: Tensor, request: Request) -> Features:
        """Run images (B, 3, H, W) and keep what is requested; see :func:`~mmwsss.models.extract_features`.

        The last map is that of the CNN branch, (B, c, h, w); the class token (B, 1, D) is that after the final norm.
        """
        if not torch.is_grad_enabled() and not is_recording():
            images = images.to(memory_format=torch.channels_last)  # faster convolutions, mostly in lower precision
        stem = self.auto_pad(self.maxpool(self.act1(self.bn1(self.conv1(images)))))
        cnn_map = self.conv_1(stem, out_conv2=False)
        patches = self.trans_patch_conv(stem)
        grid = tuple(patches.shape[-2:])
        tokens = torch.cat([self.cls_token.expand(images.shape[0], -1, -1), patches.flatten(2).transpose(1, 2)], dim=1)
        # The CNN branch reads the patch tokens of every block, so that the last block cannot leave them out.
        runner = LayerRunner(replace(request, maps=True),
                             TokenLayout(self.depths, self.trans_1.attn.num_heads, 1, grid))
        tokens = runner.run(0, self.trans_1, tokens)
        for index, block in enumerate(self._coupled_blocks(), start=1):
            cnn_map, tokens = self._couple(block, cnn_map, tokens, grid, partial(runner.run, index))
        return runner.features([cnn_map] if request.maps else (), self.trans_norm(tokens[:, :1]))

    def _couple(self, block: nn.Module, cnn_map: Tensor, tokens: Tensor, grid: Sequence[int],
                encode: Callable[[nn.Module, Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Run one of mmpretrain's ``ConvTransBlock``, with ``encode`` in place of its transformer block."""
        cnn_map, inner = block.cnn_block(cnn_map)
        update = block.squeeze_block(inner, tokens)  # its first token is the class token
        if not self.double_class_token:
            update = torch.cat([torch.zeros_like(update[:, :1]), update[:, 1:]], dim=1)
        tokens = encode(block.trans_block, update + tokens)
        fused = block.fusion_block(cnn_map, fusion_features=block.expand_block(tokens, *grid), out_conv2=False)
        return fused, tokens


def _check_arch(arch: Union[str, dict]) -> None:
    """Refuse an ``arch`` that mmpretrain would build wrongly or refuse without a message."""
    keys = {'embed_dims', 'depths', 'num_heads', 'channel_ratio'}
    if isinstance(arch, str):
        if arch.lower() not in Conformer.arch_zoo:
            raise ValueError(f'arch must be one of {sorted(Conformer.arch_zoo)} or a dict, got {arch!r}')
        return
    if set(arch) != keys:
        raise ValueError(f'arch must have the keys {sorted(keys)}, got {sorted(arch)}')
    if arch['depths'] < 3 or arch['depths'] % 3:
        raise ValueError(f"arch['depths'] must be a multiple of 3, as there are three stages, got {arch['depths']}")
