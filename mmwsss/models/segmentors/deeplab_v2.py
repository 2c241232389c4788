"""Multi-scale training of DeepLab-V2."""

from functools import reduce

import torch
from mmengine.structures import PixelData
from mmseg.models import EncoderDecoder
from mmseg.structures import SegDataSample
from mmseg.utils import add_prefix
from torch import Tensor
from torch.nn import functional as F

from mmwsss.registry import MODELS

from ..utils import resize_maps, view_sizes
from .settings import DEEPLAB_TRAIN, SEGMENTOR_TEST, check_settings

__all__ = ['DeepLabV2']


@MODELS.register_module()
class DeepLabV2(EncoderDecoder):
    """mmseg's ``EncoderDecoder`` with the multi-scale loss of DeepLab-V2 (TPAMI 2018, Sec. 4.1).

    The network sees its input at full size and at ``train_cfg.scales``. The loss is the sum of the decode head's losses
    of each of these logits, at their own resolution, and of their pixelwise maximum, at the resolution of the full
    size. Labels are resized by nearest neighbor. Prediction is mmseg's, at one scale; the maximum over scales
    is :class:`MultiScaleTTA` with ``scale_fusion='max'``.

    Args:
        **kwargs: As in mmseg. ``train_cfg`` has ``scales``, factors of the input size; (0.75, 0.5) in the paper.

    Raises:
        UserError: ``train_cfg`` or ``test_cfg`` has an unknown key or a wrong value, or ``train_cfg`` lacks ``scales``.
            Without ``train_cfg``, the model cannot be trained.
        ValueError: If there is an auxiliary head, which the scales leave undefined.
    """

    train_settings = DEEPLAB_TRAIN
    test_settings = SEGMENTOR_TEST

    def __init__(self, **kwargs) -> None:
        check_settings(self, kwargs.get('train_cfg'), kwargs.get('test_cfg'))
        super().__init__(**kwargs)
        if self.with_auxiliary_head:
            raise ValueError('DeepLabV2 takes no auxiliary_head')

    def loss(self, inputs: Tensor, data_samples: list[SegDataSample]) -> dict[str, Tensor]:
        """Compute losses by name.

        Args:
            inputs: (B, 3, H, W) normalized images.
            data_samples: With ``gt_sem_seg`` (1, H, W).

        Returns:
            The decode head's losses, with ``decode_1`` for the full size, ``decode_0.75`` and so on for the others and
            ``decode_max`` for the maximum before their names.
        """
        scales = (1, *self.train_cfg['scales'])
        sizes = view_sizes(inputs.shape[-2:], scales)
        logits = [self._forward(resize_maps(inputs, size)) for size in sizes]
        full = logits[0].shape[-2:]
        logits.append(reduce(torch.maximum, [resize_maps(maps, full) for maps in logits]))
        labels = torch.stack([sample.gt_sem_seg.data for sample in data_samples])
        losses = {}
        for name, maps in zip((*scales, 'max'), logits):
            found = self.decode_head.loss_by_feat(maps, shrunk_labels(labels, maps.shape[-2:]))
            losses.update(add_prefix(found, f'decode_{name}'))
        return losses


def shrunk_labels(labels: Tensor, size: tuple[int, int]) -> list[SegDataSample]:
    """Resize labels (B, 1, H, W) to ``size`` (h, w) by nearest pixel center; return samples with ``gt_sem_seg``."""
    small = F.interpolate(labels.to(torch.float32), size=tuple(size), mode='nearest-exact').to(labels.dtype)
    return [SegDataSample(gt_sem_seg=PixelData(data=label)) for label in small]
