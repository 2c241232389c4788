"""Segmenter's inference with padding to whole patches and sliding windows of full size."""

from mmseg.models import EncoderDecoder
from mmseg.utils import OptSampleList
from torch import Tensor
from torch.nn import functional as F

from mmwsss.registry import MODELS

from ..utils import resize_maps
from .settings import NOTHING, SEGMENTOR_TEST, check_settings

__all__ = ['Segmenter']


@MODELS.register_module()
class Segmenter(EncoderDecoder):
    """mmseg's ``EncoderDecoder`` with the padding and the sliding windows of Segmenter (ICCV 2021).

    An input that is no multiple of the patch size is padded with zeros at the right and bottom, and the padding is cut
    off the upsampled logits; mmseg would stretch them instead. Before sliding windows (``test_cfg.mode='slide'``), an
    input whose short side is below the window is enlarged to it; mmseg would take smaller windows.

    Args:
        **kwargs: As in mmseg. The backbone has a ``patch_size``.

    Raises:
        UserError: ``train_cfg`` or ``test_cfg`` has an unknown key or a wrong value.
    """

    train_settings = NOTHING
    test_settings = SEGMENTOR_TEST

    def __init__(self, **kwargs) -> None:
        check_settings(self, kwargs.get('train_cfg'), kwargs.get('test_cfg'))
        super().__init__(**kwargs)

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Segment (B, 3, H, W) normalized images into logits (B, K, H, W)."""
        height, width = inputs.shape[-2:]
        rows, cols = self.backbone.patch_size
        padded = F.pad(inputs, (0, -width % cols, 0, -height % rows))
        logits = self.decode_head(self.extract_feat(padded))
        return resize_maps(logits, padded.shape[-2:])[..., :height, :width]

    def _forward(self, inputs: Tensor, data_samples: OptSampleList = None) -> Tensor:
        """Return logits (B, K, H, W) as :meth:`encode_decode`; mmseg's would be of an input without padding."""
        return self.encode_decode(inputs, [])

    def slide_inference(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Average the logits of overlapping windows.

        Returns:
            (B, K, H', W') at the size of the input, or of the enlarged input.
        """
        inputs = enlarged(inputs, max(self.test_cfg.crop_size))
        # mmseg writes the size of windows there.
        metas = [dict(meta) for meta in batch_img_metas]
        return super().slide_inference(inputs, metas)


def enlarged(images: Tensor, side: int) -> Tensor:
    """Resize (B, 3, H, W) bilinearly until the short side is ``side``, if it is below; the long one is rounded down."""
    height, width = images.shape[-2:]
    short = min(height, width)
    if short >= side:
        return images
    return resize_maps(images, [side if edge == short else int(edge * side / short) for edge in (height, width)])
