"""EfficientNet-Lite0, a small CNN without squeeze-and-excitation."""

from copy import deepcopy
from typing import Any, ClassVar

from mmpretrain.models import EfficientNet

from mmwsss.registry import MODELS

__all__ = ['EfficientNetLite']

_SQUEEZE_RATIO = 2  # Place of the squeeze-and-excitation ratio in the settings of a block.


def _stages_without_squeeze() -> list:
    """Return mmpretrain's settings of EfficientNet-B0 without squeeze-and-excitation."""
    stages = deepcopy(EfficientNet.layer_settings['b'])
    for block in (block for stage in stages for block in stage):
        block[_SQUEEZE_RATIO] = 0
    return stages


@MODELS.register_module()
class EfficientNetLite(EfficientNet):
    """EfficientNet-Lite0 on mmpretrain's ``EfficientNet``: no squeeze-and-excitation, ReLU6 in place of Swish.

    It expects RGB values from 0 to 255, normalized with mean 127 and standard deviation 128. The last feature map has
    1280 channels.

    Args:
        output_stride: 32, as published, or 16, which doubles the resolution of the last stage. The weights are the
            same.
        **kwargs: As in mmpretrain's ``EfficientNet``, without ``arch``.

    Raises:
        ValueError: If ``output_stride`` is neither 16 nor 32.
    """

    layer_settings: ClassVar[dict] = dict(l=_stages_without_squeeze())
    arch_settings: ClassVar[dict] = dict(lite0=(1.0, 1.0, 224))

    def __init__(self, output_stride: int = 32, **kwargs: Any) -> None:
        if output_stride not in (16, 32):
            raise ValueError(f'output_stride must be 16 or 32, got {output_stride!r}')
        super().__init__(arch='lite0', **{'act_cfg': dict(type='ReLU6'), **kwargs})
        if output_stride == 16:
            self.layers[5][0].depthwise_conv.conv.stride = (1, 1)
