"""Segmentation at test time: several scales, mirror images, and label steps such as a dense CRF."""

from collections.abc import Sequence
from functools import reduce
from typing import Any, Optional

import mmcv
import numpy as np
import torch
from mmengine.fileio import get
from mmengine.model import BaseTTAModel
from mmengine.structures import PixelData
from mmseg.utils import ConfigType, OptConfigType, SampleList
from torch import Tensor

from mmwsss.registry import MODELS

from ..label_steps import LabelBatch, LabelPipeline
from ..utils import fuse_views, resize_by_factor, resize_maps, view_sizes, without_padding
from .settings import FUSION

__all__ = ['MultiScaleTTA']


@MODELS.register_module()
class MultiScaleTTA(BaseTTAModel):
    """Fuse the predictions of scaled and mirrored views, and refine them; wraps any mmseg segmentor.

    With ``views='model'``, the published WSSS numbers are reproduced, which fuse logits by sum, mean or maximum, or
    probabilities by maximum. The pipeline gives one view; the others are made in the model from the normalized image,
    and a view and its mirror image share a pass. Logits are enlarged to the image's size before anything else, with
    corners aligned where the decode head aligns them.

    With ``views='pipeline'``, views are made by ``TestTimeAug`` in the pipeline and their probabilities averaged, as
    mmseg's ``SegTTAModel`` does.

    Args:
        module (dict): The segmentor, or its config.
        scales (Sequence[float]): Factors of the input size.
        flip (bool): Whether to add mirrored views.
        flip_fusion (str): ``'sum'``, ``'mean'`` or ``'max'`` over a view and its mirror image.
        scale_fusion (str): ``'sum'``, ``'mean'`` or ``'max'`` over scales.
        probabilities (bool): Fuse the softmax of each view instead of its logits. Maxima and sums of probabilities need
            not sum to 1; they are neither normalized nor put through a softmax again.
        view_resize (dict, optional): ``mode`` and ``align_corners`` of torch's ``interpolate``, with which views are
            made, their sides rounded down; bilinear without aligned corners unless given. Or ``backend='cv2'`` and
            ``interpolation``: see :func:`~mmwsss.models.utils.resize_by_factor`.
        via_view_size (bool): Enlarge logits to the size of the view first, and from there to the image's size.
        steps (Sequence[dict], optional): Label steps, such as ``[dict(type='DenseCRF', preset='toco_seg')]``, on the
            softmax of the fused logits, or the fused probabilities, where class 0 is the background. The segmentation
            is their largest score. The image comes from ``KeepImage`` in the pipeline, or else is read again.
        views (str): Who makes the views, ``'model'`` or ``'pipeline'``. With the latter, the settings above but
            ``steps`` are not used.
        data_preprocessor (dict, optional): As in mmengine; the module's own unless given.

    Raises:
        TypeError: An argument has been renamed, such as ``post``, which is now ``steps``.
        UserError: A scale is not positive, or a fusion is unknown.
        ValueError: ``views`` is unknown.
    """

    def __init__(self,
                 module: ConfigType,
                 scales: Sequence[float] = (1.0, 1.5, 1.25),
                 flip: bool = True,
                 flip_fusion: str = 'sum',
                 scale_fusion: str = 'max',
                 probabilities: bool = False,
                 view_resize: Optional[dict] = None,
                 via_view_size: bool = False,
                 steps: Optional[Sequence[dict]] = None,
                 views: str = 'model',
                 data_preprocessor: OptConfigType = None,
                 **old: Any) -> None:
        if old:
            hint = f"; instead of post=..., give steps=[{old['post']}]" if 'post' in old else ''
            raise TypeError(f'MultiScaleTTA has no {", ".join(old)}{hint}')
        if views not in ('model', 'pipeline'):
            raise ValueError(f"views must be 'model' or 'pipeline', got {views!r}")
        FUSION.check('MultiScaleTTA', dict(scales=scales, flip=flip, flip_fusion=flip_fusion,
                                           scale_fusion=scale_fusion))
        super().__init__(module, data_preprocessor)
        self.scales = tuple(scales)
        self.scale_fusion = scale_fusion
        self.mirror: dict[str, Any] = dict(flip=flip, flip_fusion=flip_fusion)
        self.view_resize = dict(view_resize or {})
        self.via_view_size = via_view_size
        self.probabilities = probabilities
        self.makes_views = views == 'model'
        self.pipeline = LabelPipeline(steps, dict(type='Argmax'), ('background', ))

    @torch.no_grad()
    def test_step(self, data: dict) -> SampleList:
        """Segment a collated batch.

        Args:
            data (dict): ``inputs`` and ``data_samples`` of one view of each image; with ``views='pipeline'``, a list of
                these for every view.

        Returns:
            list[SegDataSample]: With ``seg_logits`` (fused logits or probabilities) and ``pred_sem_seg`` at the images'
            own sizes.
        """
        if not self.makes_views:
            return super().test_step(data)
        data = self.module.data_preprocessor(data, False)
        return [self._finish(self._fused(image[None], sample), sample, self.probabilities)
                for image, sample in zip(data['inputs'], data['data_samples'])]

    def merge_preds(self, data_samples_list: Sequence[SampleList]) -> SampleList:
        """Fuse the predictions of the pipeline's views.

        Args:
            data_samples_list (list[list]): The predictions of each view, for every image.

        Returns:
            list[SegDataSample]: See :meth:`test_step`; ``seg_logits`` are mean probabilities.
        """
        return [self._finish(sum(view.seg_logits.data.softmax(dim=0) for view in views) / len(views), views[0], True)
                for views in data_samples_list]

    def _fused(self, image: Tensor, sample: Any) -> Tensor:
        """Return the scores (K, H, W) of one image (1, 3, H, W), after the padding is cut off."""
        image = without_padding(image, sample.metainfo)
        merge = torch.maximum if self.scale_fusion == 'max' else torch.add
        fused = reduce(merge, (self._scores_of_pair(self._view(image, scale), sample) for scale in self.scales))
        return fused / len(self.scales) if self.scale_fusion == 'mean' else fused

    def _view(self, image: Tensor, scale: float) -> Tensor:
        """Resize an image (1, 3, H, W) by a factor."""
        settings = dict(self.view_resize)
        if settings.pop('backend', None) == 'cv2':
            return resize_by_factor(image, scale, **settings)
        size, = view_sizes(image.shape[-2:], (scale, ))
        return resize_maps(image, size, **settings)

    def _scores_of_pair(self, view: Tensor, sample: Any) -> Tensor:
        """Return the fused scores (K, H, W) of a view (1, 3, h, w) and its mirror image at the image's own size."""
        return fuse_views(lambda views: {'scores': self._scores(views, sample)}, view, **self.mirror,
                          size=sample.metainfo['ori_shape'])['scores'][0]

    def _scores(self, views: Tensor, sample: Any) -> Tensor:
        """Return logits or probabilities (B, K, H, W) at the image's own size."""
        if self.module.test_cfg.get('mode', 'whole') == 'slide':
            logits = self.module.slide_inference(views, [sample.metainfo] * len(views))
        else:
            logits = self.module(views, mode='tensor')
        align_corners = getattr(self.module, 'align_corners', False)
        if self.via_view_size:
            logits = resize_maps(logits, views.shape[-2:], align_corners=align_corners)
        logits = resize_maps(logits, sample.metainfo['ori_shape'], align_corners=align_corners)
        return logits.softmax(dim=1) if self.probabilities else logits

    def _finish(self, fused: Tensor, sample: Any, probabilities: bool) -> Any:
        """Refine the scores (K, H, W) of an image and put them and their labels into its sample."""
        labels = fused.argmax(dim=0, keepdim=True)
        if self.pipeline.steps:
            probs = fused if probabilities else fused.softmax(dim=0)
            labels = self.pipeline(_as_batch(probs, sample))
        sample.set_data({'seg_logits': PixelData(data=fused), 'pred_sem_seg': PixelData(data=labels)})
        return sample


def _as_batch(probs: Tensor, sample: Any) -> LabelBatch:
    """Return probabilities (K, H, W) as a batch of one image in which all classes are present."""
    image = sample.metainfo.get('image')
    if image is None:
        path = sample.metainfo.get('img_path')
        try:
            image = mmcv.imfrombytes(get(path), channel_order='rgb')
        except Exception as error:  # Storage clients and decoders raise many kinds of errors.
            raise ValueError(f'label steps at test time need the image, and {path} cannot be read again: put KeepImage '
                             f'behind LoadImageFromFile in the pipeline ({error})') from error
    image = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)
    return LabelBatch.from_probabilities(image, probs, str(sample.metainfo.get('img_path')))
