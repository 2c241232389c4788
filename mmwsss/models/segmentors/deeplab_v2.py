"""Multi-scale training of DeepLab-V2."""

from collections.abc import Sequence
from functools import reduce
from typing import Optional

import torch
from mmengine.structures import PixelData
from mmseg.models import EncoderDecoder
from mmseg.structures import SegDataSample
from mmseg.utils import SampleList, add_prefix
from torch import Tensor
from torch.nn import functional as F

from mmwsss.registry import MODELS

from ..utils import resize_maps
from .settings import DEEPLAB_TEST, DEEPLAB_TRAIN, check_settings

__all__ = ['DeepLabV2']


@MODELS.register_module()
class DeepLabV2(EncoderDecoder):
    """mmseg's ``EncoderDecoder`` with the multiple scales of DeepLab-V2 (TPAMI 2018, Sec. 4.1), as in its PyTorch port.

    The network sees its input at full size and at further scales, whose sides are rounded down and whose pixels are
    exactly ``1 / scale`` apart. The loss is the sum of the decode head's losses of each of these logits, at their own
    resolution, and of their pixelwise maximum, at the resolution of the full size. Labels are resized by nearest
    neighbor. The prediction is the maximum, enlarged to the size of the image.

    Args:
        **kwargs: As in mmseg. ``train_cfg`` has ``scales``, factors of the input size besides 1; (0.75, 0.5) in the
            paper; without ``train_cfg``, the model only predicts. ``test_cfg`` may have ``scales``, too; without them,
            the prediction is mmseg's, at one scale.

    Raises:
        UserError: ``train_cfg`` or ``test_cfg`` has an unknown key or a wrong value, or ``train_cfg`` lacks ``scales``.
        ValueError: If there is an auxiliary head, which the scales leave undefined.
    """

    train_settings = DEEPLAB_TRAIN
    test_settings = DEEPLAB_TEST

    def __init__(self, **kwargs) -> None:
        check_settings(self, kwargs.get('train_cfg'), kwargs.get('test_cfg'))
        super().__init__(**kwargs)
        if self.with_auxiliary_head:
            raise ValueError('DeepLabV2 takes no auxiliary_head')

    def loss(self, inputs: Tensor, data_samples: SampleList) -> dict[str, Tensor]:
        """Compute losses by name.

        Args:
            inputs: (B, 3, H, W) normalized images.
            data_samples: With ``gt_sem_seg`` (1, H, W).

        Returns:
            The decode head's losses, with ``decode_1`` for the full size, ``decode_0.75`` and so on for the others and
            ``decode_max`` for the maximum before their names.

        Raises:
            ValueError: If the model was built without ``train_cfg``.
        """
        if self.train_cfg is None:
            raise ValueError('DeepLabV2 was built without train_cfg, for inference only: to train it, set '
                             'train_cfg=dict(scales=(0.75, 0.5))')
        scales = self.train_cfg['scales']
        logits = self._pyramid(inputs, scales)
        labels = torch.stack([sample.gt_sem_seg.data for sample in data_samples])
        losses = {}
        for name, maps in zip((1, *scales, 'max'), [*logits, _maximum(logits)]):
            found = self.decode_head.loss_by_feat(maps, shrunk_labels(labels, maps.shape[-2:]))
            losses.update(add_prefix(found, f'decode_{name}'))
        return losses

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Compute logits (B, K, H, W) at the size of the input; see ``test_cfg.scales``."""
        return self.decode_head.predict_by_feat(self._forward(inputs), batch_img_metas)

    def _forward(self, inputs: Tensor, data_samples: Optional[list[SegDataSample]] = None) -> Tensor:
        """Compute logits (B, K, h, w) at the resolution of the network, the maximum over ``test_cfg.scales``."""
        return _maximum(self._pyramid(inputs, (self.test_cfg or {}).get('scales') or ()))

    def _pyramid(self, inputs: Tensor, scales: Sequence[float]) -> list[Tensor]:
        """Compute the logits of the full size and of every scale, each at its own resolution."""
        views = [F.interpolate(inputs, scale_factor=scale, mode='bilinear', align_corners=False) for scale in scales]
        return [self.decode_head(self.extract_feat(view)) for view in (inputs, *views)]


def _maximum(logits: Sequence[Tensor]) -> Tensor:
    """Compute the pixelwise maximum at the resolution of the first logits."""
    return reduce(torch.maximum, [resize_maps(maps, logits[0].shape[-2:]) for maps in logits])


def shrunk_labels(labels: Tensor, size: tuple[int, int]) -> list[SegDataSample]:
    """Resize labels (B, 1, H, W) to ``size`` (h, w) by nearest pixel center; return samples with ``gt_sem_seg``."""
    small = F.interpolate(labels.to(torch.float32), size=tuple(size), mode='nearest-exact').to(labels.dtype)
    return [SegDataSample(gt_sem_seg=PixelData(data=label)) for label in small]
