"""The ResNet of DeepLab-V2."""

from typing import Any

from mmseg.models import ResNet

from mmwsss.registry import MODELS

__all__ = ['CeilPoolResNet']


@MODELS.register_module()
class CeilPoolResNet(ResNet):
    """mmseg's ``ResNet`` with pooling that rounds sizes up, as in Caffe.

    With stride 8, an edge of n pixels becomes ceil(n / 8) or one more.

    Args:
        **kwargs: As in mmseg, without ``deep_stem``.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.maxpool.ceil_mode = True
