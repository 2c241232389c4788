"""Decoders of DeepLab-V1 and V2 that WSSS methods use for the final segmentation."""

from collections.abc import Sequence
from typing import Any

from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

from mmwsss.registry import MODELS

__all__ = ['DeepLabV1Head', 'DeepLabV2Head', 'NormedLargeFOVHead']


@MODELS.register_module()
class DeepLabV1Head(BaseDecodeHead):
    """Two dilated 3x3 convolutions with bias, of which the second is the classifier (second stage of MCTformer).

    There is no norm and no dropout. Weights are Xavier-uniform; biases have PyTorch's default initialization.

    Args:
        in_channels: D, channels of the feature map.
        channels: Channels between the two convolutions; 512 in MCTformer.
        dilation: Dilation of both convolutions; 12 in MCTformer.
        **kwargs: As in mmseg's ``BaseDecodeHead``.
    """

    def __init__(self, in_channels: int, channels: int = 512, dilation: int = 12, **kwargs: Any) -> None:
        super().__init__(in_channels, channels, **{'dropout_ratio': 0., 'init_cfg': None, **kwargs})
        self.fov_conv = nn.Conv2d(self.in_channels, channels, 3, padding=dilation, dilation=dilation)
        self.conv_seg = nn.Conv2d(channels, self.out_channels, 3, padding=dilation, dilation=dilation)

    def init_weights(self) -> None:
        """Initialize the weights, and then apply ``init_cfg``."""
        for conv in (self.fov_conv, self.conv_seg):
            nn.init.xavier_uniform_(conv.weight)
        super().init_weights()

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Decode a list of maps, of which ``in_index`` is (B, D, h, w), into logits (B, K, h, w)."""
        return self.cls_seg(self.fov_conv(self._transform_inputs(inputs)).relu())


@MODELS.register_module()
class NormedLargeFOVHead(BaseDecodeHead):
    """A dilated 3x3 and a 1x1 convolution with norm, dropout and a 1x1 classifier (TransCAM's second stage).

    Args:
        in_channels: D, channels of the feature map.
        channels: Channels of both convolutions; 512 in TransCAM.
        dilation: Dilation of the first convolution; 12 in TransCAM.
        dropout_ratio: Share of values (not of channels) that are dropped before the classifier.
        **kwargs: As in mmseg's ``BaseDecodeHead``. Weights have Kaiming initialization (``fan_out``), the bias of the
            classifier PyTorch's default, unless ``init_cfg`` is given.
    """

    def __init__(self, in_channels: int, channels: int = 512, dilation: int = 12, dropout_ratio: float = 0.5,
                 **kwargs: Any) -> None:
        super().__init__(in_channels, channels, dropout_ratio=dropout_ratio, **{'init_cfg': None, **kwargs})
        self.dropout = nn.Dropout(dropout_ratio)
        settings = dict(conv_cfg=self.conv_cfg, norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)
        self.convs = nn.Sequential(
            ConvModule(self.in_channels, channels, 3, padding=dilation, dilation=dilation, **settings),
            ConvModule(channels, channels, 1, **settings))

    def init_weights(self) -> None:
        """Initialize the weights, and then apply ``init_cfg``."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')
        super().init_weights()

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Decode a list of maps, of which ``in_index`` is (B, D, h, w), into logits (B, K, h, w)."""
        return self.cls_seg(self.convs(self._transform_inputs(inputs)))


@MODELS.register_module()
class DeepLabV2Head(BaseDecodeHead):
    """The sum of dilated 3x3 classifiers side by side (ASPP of DeepLab-V2, TPAMI 2018), without image pooling.

    mmseg's ``ASPPHead`` is that of DeepLab-V3, which pools and concatenates.

    Args:
        in_channels: D, channels of the feature map.
        dilations: One for each classifier.
        **kwargs: As in mmseg's ``BaseDecodeHead``. Weights N(0, 0.01) and biases 0 unless ``init_cfg`` is given.
    """

    def __init__(self, in_channels: int, dilations: Sequence[int] = (6, 12, 18, 24), **kwargs: Any) -> None:
        init = dict(type='Normal', layer='Conv2d', std=0.01)
        super().__init__(in_channels, in_channels, **{'dropout_ratio': 0., 'init_cfg': init, **kwargs})
        del self.conv_seg
        self.branches = nn.ModuleList(
            nn.Conv2d(self.in_channels, self.out_channels, 3, padding=dilation, dilation=dilation)
            for dilation in dilations)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Decode a list of maps, of which ``in_index`` is (B, D, h, w), into logits (B, K, h, w)."""
        features = self._transform_inputs(inputs)
        return sum(branch(features) for branch in self.branches)
