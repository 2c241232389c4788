"""mmseg's test-time augmentation with a refiner such as dense CRF at its end."""

from typing import Optional

import mmcv
import torch
from mmengine.structures import PixelData
from mmseg.models import SegTTAModel
from torch import Tensor

from mmwsss.registry import MODELS

__all__ = ['RefinedTTAModel']


@MODELS.register_module()
class RefinedTTAModel(SegTTAModel):
    """mmseg's ``SegTTAModel``, which averages the probabilities of views made by the pipeline; then refines the mean.

    :class:`MultiScaleTTA` in contrast makes the views itself and fuses logits.

    Args:
        module: The segmentor, or its config.
        post: A refiner such as :class:`DenseCRF`. It gets the RGB image and the probabilities of those classes that win
            at one pixel or more, which it need not sum to 1 again. None: no refinement.
        data_preprocessor: As in mmengine; the module's own unless given.
    """

    def __init__(self, module: dict, post: Optional[dict] = None, data_preprocessor: Optional[dict] = None) -> None:
        super().__init__(module=module, data_preprocessor=data_preprocessor)
        self.post = MODELS.build(post) if post is not None else None

    def merge_preds(self, data_samples_list: list[list]) -> list:
        """Give one sample an image, with ``seg_logits`` (mean probabilities) and ``pred_sem_seg``."""
        return [self._merge(views) for views in data_samples_list]

    def _merge(self, views: list):
        """Fuse the predictions of one image, a data sample for each view."""
        probs = sum(view.seg_logits.data.softmax(dim=0) for view in views) / len(views)
        sample = views[0]
        sample.set_data({
            'seg_logits': PixelData(data=probs),
            'pred_sem_seg': PixelData(data=self._refined(probs, sample).argmax(dim=0, keepdim=True))
        })
        return sample

    def _refined(self, probs: Tensor, sample) -> Tensor:
        if self.post is None:
            return probs
        winners = torch.zeros(len(probs), dtype=torch.bool)
        winners[probs.argmax(dim=0).unique().cpu()] = True
        image = mmcv.imread(sample.metainfo['img_path'], channel_order='rgb')
        return torch.as_tensor(self.post.refine_present(image, probs, winners))
