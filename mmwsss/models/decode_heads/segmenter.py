"""Segmenter's mask transformer with the initialization of its authors."""

from mmengine.model.weight_init import trunc_normal_
from mmseg.models.decode_heads import SegmenterMaskTransformerHead
from torch import nn

from mmwsss.registry import MODELS

__all__ = ['MaskTransformerHead']


@MODELS.register_module()
class MaskTransformerHead(SegmenterMaskTransformerHead):
    """mmseg's ``SegmenterMaskTransformerHead`` with the initialization of Segmenter's and WeakTr's code.

    mmseg draws both projections into the space of masks with a standard deviation of 0.02 and leaves the input
    projection of its attention at PyTorch's default. Here the former have a standard deviation of ``D ** -0.5``,
    and the latter that of all linear layers. The computation is that of mmseg.

    Args:
        **kwargs: As in mmseg. Dropout in the layers and none before the classifier, as WeakTr trains, unless given.
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(
            **{'drop_rate': 0.1, 'attn_drop_rate': 0.1, 'drop_path_rate': 0., 'dropout_ratio': 0., **kwargs})

    def init_weights(self) -> None:
        """Initialize all weights."""
        super().init_weights()
        for projection in (self.patch_proj, self.classes_proj):
            nn.init.normal_(projection.weight, std=projection.in_features**-0.5)
        for module in self.modules():
            if isinstance(module, nn.MultiheadAttention):
                trunc_normal_(module.in_proj_weight, std=self.init_std)
                nn.init.zeros_(module.in_proj_bias)
