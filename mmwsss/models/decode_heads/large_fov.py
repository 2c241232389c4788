"""DeepLab's large field-of-view decoder."""

from collections.abc import Sequence

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

from mmwsss.registry import MODELS

__all__ = ['LargeFOVHead']


@MODELS.register_module()
class LargeFOVHead(BaseDecodeHead):
    """Two dilated 3x3 convolutions and a 1x1 classifier, without bias or norm (LargeFOV; decoder of AFA and ToCo).

    Args:
        in_channels: D, channels of the feature map.
        channels: Width of the dilated convolutions; 512 in ToCo.
        dilation: Their dilation; 5 in ToCo.
        **kwargs: As in mmseg's ``BaseDecodeHead``. Unless given, there is no dropout, and the
            initialization is PyTorch's default.
    """

    def __init__(self, in_channels: int, channels: int = 512, dilation: int = 5, **kwargs) -> None:
        super().__init__(in_channels, channels, **{'dropout_ratio': 0., 'init_cfg': None, **kwargs})
        options = dict(kernel_size=3, padding=dilation, dilation=dilation, bias=False)
        self.conv6 = nn.Conv2d(self.in_channels, channels, **options)
        self.conv7 = nn.Conv2d(channels, channels, **options)
        self.conv_seg = nn.Conv2d(channels, self.out_channels, kernel_size=1, bias=False)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Decode a list of maps, of which ``in_index`` is (B, D, h, w), into logits (B, K, h, w)."""
        x = self.conv6(self._transform_inputs(inputs)).relu()
        return self.cls_seg(self.conv7(x).relu())
