"""Multi-scale, mirrored and CRF-refined segmentation at test time."""

from collections.abc import Sequence
from typing import Optional

import mmcv
import torch
from mmengine.model import BaseTTAModel
from mmengine.structures import PixelData
from torch import Tensor

from mmwsss.registry import MODELS

from ..utils import fuse_views, without_padding

__all__ = ['MultiScaleTTA']


@MODELS.register_module()
class MultiScaleTTA(BaseTTAModel):
    """Fuse the logits of scaled and mirrored views inside the model; works around any mmseg segmentor.

    mmseg's own ``SegTTAModel`` averages probabilities over views made by a pipeline. The published WSSS numbers fuse
    *logits*, by sum or maximum, and differ by method and dataset; here both are settings. Views are resized as float
    tensors, a view and its mirror image share a pass.

    Args:
        module: The segmentor, or its config.
        scales: Factors of the input size.
        flip: Whether to add mirrored views.
        flip_fusion: ``'sum'`` or ``'max'`` over a view and its mirror image.
        scale_fusion: ``'sum'`` or ``'max'`` over scales.
        post: A refiner such as :class:`DenseCRF`, called with the RGB image and the softmax of the fused logits, or
            None.
        data_preprocessor: As in mmengine; the module's own unless given.
    """

    def __init__(self,
                 module: dict,
                 scales: Sequence[float] = (1.0, 1.5, 1.25),
                 flip: bool = True,
                 flip_fusion: str = 'sum',
                 scale_fusion: str = 'max',
                 post: Optional[dict] = None,
                 data_preprocessor: Optional[dict] = None) -> None:
        super().__init__(module, data_preprocessor)
        self.views = dict(scales=tuple(scales), flip=flip, flip_fusion=flip_fusion, scale_fusion=scale_fusion)
        self.post = MODELS.build(post) if post is not None else None

    @torch.no_grad()
    def test_step(self, data: dict) -> list:
        """Segment a collated batch; gives data samples with ``seg_logits`` and ``pred_sem_seg`` at original sizes."""
        data = self.module.data_preprocessor(data, False)
        return [self._segment(image[None], sample) for image, sample in zip(data['inputs'], data['data_samples'])]

    def merge_preds(self, data_samples_list: list[list]) -> list:
        """Give the first view's samples: the views are fused before there are predictions."""
        return [samples[0] for samples in data_samples_list]

    def _segment(self, image: Tensor, sample):
        """Segment one image (1, 3, H, W); what the preprocessor padded is cut off first."""
        image = without_padding(image, sample.metainfo)
        fused = fuse_views(lambda views: {'logits': self._logits(views, sample)}, image, **self.views,
                           size=sample.metainfo['ori_shape'])['logits'][0]
        scores = fused if self.post is None else self._refine(fused, sample)
        sample.set_data({
            'seg_logits': PixelData(data=fused),
            'pred_sem_seg': PixelData(data=scores.argmax(dim=0, keepdim=True))
        })
        return sample

    def _logits(self, views: Tensor, sample) -> Tensor:
        """Give logits (B, K, h, w) at the decoder's own resolution, or at full size from sliding windows."""
        if self.module.test_cfg.get('mode', 'whole') == 'slide':
            return self.module.slide_inference(views, [sample.metainfo] * len(views))
        return self.module(views, mode='tensor')

    def _refine(self, logits: Tensor, sample) -> Tensor:
        image = mmcv.imread(sample.metainfo['img_path'], channel_order='rgb')
        return torch.as_tensor(self.post(image, logits.softmax(dim=0)))
