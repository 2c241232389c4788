"""Multi-scale, mirrored and CRF-refined segmentation at test time."""

from collections.abc import Sequence
from functools import partial
from typing import Optional

import mmcv
import torch
from mmengine.model import BaseTTAModel
from mmengine.structures import PixelData
from torch import Tensor

from mmwsss.registry import MODELS

from ..utils import fuse_views, resize_maps, without_padding

__all__ = ['MultiScaleTTA']


@MODELS.register_module()
class MultiScaleTTA(BaseTTAModel):
    """Fuse the predictions of scaled and mirrored views inside the model; works around any mmseg segmentor.

    mmseg's own ``SegTTAModel`` averages probabilities over views made by a pipeline. The published WSSS numbers fuse
    logits by sum, mean or maximum, or probabilities by maximum; here these are settings. Views are resized as float
    tensors, a view and its mirror image share a pass. Logits are enlarged to the image's size before anything else,
    with corners aligned where the decode head aligns them.

    Args:
        module: The segmentor, or its config.
        scales: Factors of the input size.
        flip: Whether to add mirrored views.
        flip_fusion: ``'sum'``, ``'mean'`` or ``'max'`` over a view and its mirror image.
        scale_fusion: ``'sum'``, ``'mean'`` or ``'max'`` over scales.
        probabilities: Fuse the softmax of each view instead of its logits. Maxima and sums of probabilities need not
            sum to 1; they are neither normalised nor put through a softmax again.
        view_resize: ``mode`` and ``align_corners`` of torch's ``interpolate``, with which views are made; bilinear
            without aligned corners unless given.
        post: A refiner such as :class:`DenseCRF`, called with the RGB image and the softmax of the fused logits, or
            the fused probabilities. None: no refinement.
        data_preprocessor: As in mmengine; the module's own unless given.
    """

    def __init__(self,
                 module: dict,
                 scales: Sequence[float] = (1.0, 1.5, 1.25),
                 flip: bool = True,
                 flip_fusion: str = 'sum',
                 scale_fusion: str = 'max',
                 probabilities: bool = False,
                 view_resize: Optional[dict] = None,
                 post: Optional[dict] = None,
                 data_preprocessor: Optional[dict] = None) -> None:
        super().__init__(module, data_preprocessor)
        self.views = dict(scales=tuple(scales), flip=flip, flip_fusion=flip_fusion, scale_fusion=scale_fusion,
                          resize=partial(resize_maps, **(view_resize or {})))
        self.probabilities = probabilities
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
        fused = fuse_views(lambda views: {'scores': self._scores(views, sample)}, image, **self.views,
                           size=sample.metainfo['ori_shape'])['scores'][0]
        scores = fused if self.post is None else self._refine(fused, sample)
        sample.set_data({
            'seg_logits': PixelData(data=fused),
            'pred_sem_seg': PixelData(data=scores.argmax(dim=0, keepdim=True))
        })
        return sample

    def _scores(self, views: Tensor, sample) -> Tensor:
        """Give logits or probabilities (B, K, H, W) at the image's own size."""
        if self.module.test_cfg.get('mode', 'whole') == 'slide':
            logits = self.module.slide_inference(views, [sample.metainfo] * len(views))
        else:
            logits = self.module(views, mode='tensor')
        align_corners = getattr(self.module, 'align_corners', False)
        logits = resize_maps(logits, sample.metainfo['ori_shape'], align_corners=align_corners)
        return logits.softmax(dim=1) if self.probabilities else logits

    def _refine(self, fused: Tensor, sample) -> Tensor:
        image = mmcv.imread(sample.metainfo['img_path'], channel_order='rgb')
        return torch.as_tensor(self.post(image, fused if self.probabilities else fused.softmax(dim=0)))
