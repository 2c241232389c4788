"""Wide-ResNet-38, the backbone of AffinityNet and of segmentation networks that are trained on its labels."""

from collections.abc import Iterator, Sequence
from typing import Optional

from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from mmwsss.registry import MODELS

__all__ = ['WideResNet38']

# Channels are multiples of ``base_channels``; the dilations are those of a unit's two 3x3 convolutions.
# stage: units, input, middle, output, stride, dilations of the first unit, dilations of the others
_BASIC_STAGES = {
    'b2': (3, 1, 2, 2, 2, (1, 1), (1, 1)),
    'b3': (3, 2, 4, 4, 2, (1, 1), (1, 1)),
    'b4': (6, 4, 8, 8, 2, (1, 1), (1, 1)),
    'b5': (3, 8, 8, 16, 1, (1, 2), (2, 2))}
_BOTTLENECKS = {'b6': (16, 32), 'b7': (32, 64)}  # name: input, output
_FREEZABLE = (('conv1a', ), ('b2', 'b2_1', 'b2_2'))


class _PreActivatedUnit(nn.Module):
    """A residual unit that starts with norm and ReLU; its 1x1 shortcut, if any, takes the activated input."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, norm_cfg: dict) -> None:
        super().__init__()
        self.bn_branch2a = build_norm_layer(norm_cfg, in_channels)[1]
        if in_channels != out_channels or stride != 1:
            self.conv_branch1 = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sum of the unit before activation, and the activated input."""
        activated = F.relu(self.bn_branch2a(x), inplace=True)
        shortcut = self.conv_branch1(activated) if hasattr(self, 'conv_branch1') else x
        return shortcut + self.residual(activated), activated


class _BasicUnit(_PreActivatedUnit):
    """A residual unit of two 3x3 convolutions."""

    def __init__(self, in_channels: int, mid_channels: int, out_channels: int, stride: int,
                 dilations: Sequence[int], norm_cfg: dict) -> None:
        super().__init__(in_channels, out_channels, stride, norm_cfg)
        self.conv_branch2a = _conv3x3(in_channels, mid_channels, dilations[0], stride)
        self.bn_branch2b1 = build_norm_layer(norm_cfg, mid_channels)[1]
        self.conv_branch2b1 = _conv3x3(mid_channels, out_channels, dilations[1])

    def residual(self, activated: Tensor) -> Tensor:
        inner = F.relu(self.bn_branch2b1(self.conv_branch2a(activated)), inplace=True)
        return self.conv_branch2b1(inner)


class _BottleneckUnit(_PreActivatedUnit):
    """A residual unit of 1x1, dilated 3x3 and 1x1 convolutions with increasing width and channel dropout."""

    def __init__(self, in_channels: int, out_channels: int, dilation: int, drop_rate: float, norm_cfg: dict) -> None:
        super().__init__(in_channels, out_channels, 1, norm_cfg)
        self.conv_branch2a = nn.Conv2d(in_channels, out_channels // 4, 1, bias=False)
        self.bn_branch2b1 = build_norm_layer(norm_cfg, out_channels // 4)[1]
        self.conv_branch2b1 = _conv3x3(out_channels // 4, out_channels // 2, dilation)
        self.bn_branch2b2 = build_norm_layer(norm_cfg, out_channels // 2)[1]
        self.conv_branch2b2 = nn.Conv2d(out_channels // 2, out_channels, 1, bias=False)
        self.dropout = nn.Dropout2d(drop_rate)

    def residual(self, activated: Tensor) -> Tensor:
        inner = self.dropout(F.relu(self.bn_branch2b1(self.conv_branch2a(activated)), inplace=True))
        inner = self.dropout(F.relu(self.bn_branch2b2(self.conv_branch2b1(inner)), inplace=True))
        return self.conv_branch2b2(inner)


@MODELS.register_module()
class WideResNet38(BaseModule):
    """Wide-ResNet-38, model A1 (Wu, Shen and van den Hengel, Pattern Recognition 2019), dilated as in PSA (CVPR 2018).

    Pre-activated units, no pooling, no stride in the stem; convolutions have no bias. All outputs have stride 8: an
    edge of n pixels becomes ceil(n / 8). Modules are named as in the published files of PSA. Images are RGB with
    values in [0, 1], normalized by the mean and standard deviation of ImageNet.

    The published networks were trained with every batch norm frozen: statistics by ``norm_eval``, scale and shift by
    ``norm_cfg['requires_grad']``.

    Args:
        base_channels: Width of the first convolution; all other widths are multiples of it. 64 in the papers.
        drop_rates: Rates of the channel dropout in the two last units.
        frozen_stages: 0: nothing, 1: the first convolution, 2: the first three units as well (AffinityNet).
        norm_cfg: Norm layers, as in mmcv. Batch norm without gradient and with eps 1e-5 unless given.
        norm_eval: Whether batch norm stays in evaluation mode in training.
        init_cfg: As in mmengine.

    Attributes:
        out_channels: Channels of the three outputs.

    Raises:
        ValueError: If the width, the dropout rates or the number of frozen stages is none of the above.
    """

    def __init__(self,
                 base_channels: int = 64,
                 drop_rates: Sequence[float] = (0.3, 0.5),
                 frozen_stages: int = 1,
                 norm_cfg: Optional[dict] = None,
                 norm_eval: bool = True,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        _check(base_channels, drop_rates, frozen_stages)
        norm_cfg = norm_cfg or dict(type='BN', requires_grad=False, eps=1e-5)
        base = base_channels
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.out_channels = (8 * base, 16 * base, 64 * base)
        self.conv1a = _conv3x3(3, base)
        for stage, (units, start, middle, end, stride, first, others) in _BASIC_STAGES.items():
            self.add_module(stage, _BasicUnit(start * base, middle * base, end * base, stride, first, norm_cfg))
            for index in range(1, units):
                unit = _BasicUnit(end * base, middle * base, end * base, 1, others, norm_cfg)
                self.add_module(f'{stage}_{index}', unit)
        for (name, (start, end)), drop_rate in zip(_BOTTLENECKS.items(), drop_rates):
            self.add_module(name, _BottleneckUnit(start * base, end * base, 4, drop_rate, norm_cfg))
        self.bn7 = build_norm_layer(norm_cfg, 64 * base)[1]
        for module in self._frozen_modules():
            module.requires_grad_(False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Extract features.

        Args:
            x: (B, 3, H, W) normalized images.

        Returns:
            Activated maps of the channels ``out_channels`` at ceil(H / 8) x ceil(W / 8): the input of the fifth stage
            (``conv4``), the input of the sixth (``conv5``), and the last (``conv6``).
        """
        x = self.conv1a(x)
        taps = []
        for name, unit in self.named_children():
            if not isinstance(unit, _PreActivatedUnit):
                continue
            x, activated = unit(x)
            if name in ('b5', 'b6'):
                taps.append(activated)
        return (*taps, F.relu(self.bn7(x), inplace=True))

    def train(self, mode: bool = True) -> 'WideResNet38':
        """Set the training mode of all modules that are not frozen."""
        super().train(mode)
        for module in (self, ) if self.norm_eval else self._frozen_modules():
            for layer in module.modules():
                if isinstance(layer, _BatchNorm):
                    layer.eval()
        return self

    def _frozen_modules(self) -> Iterator[nn.Module]:
        for names in _FREEZABLE[:self.frozen_stages]:
            yield from map(self.get_submodule, names)


def _conv3x3(in_channels: int, out_channels: int, dilation: int = 1, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride, padding=dilation, dilation=dilation, bias=False)


def _check(base_channels: int, drop_rates: Sequence[float], frozen_stages: int) -> None:
    if base_channels < 1:
        raise ValueError(f'base_channels must be 1 or more, got {base_channels!r}')
    if len(drop_rates) != 2 or not all(0 <= rate < 1 for rate in drop_rates):
        raise ValueError(f'drop_rates must be two numbers in [0, 1), got {drop_rates!r}')
    if frozen_stages not in (0, 1, 2):
        raise ValueError(f'frozen_stages must be one of (0, 1, 2), got {frozen_stages!r}')
