"""Cross-entropy that ignores pixels of high loss, which often have wrong pseudo labels."""

from typing import Optional

import torch
from mmengine.logging import MessageHub
from torch import Tensor, nn
from torch.nn import functional as F

from mmwsss.registry import MODELS

from ..utils import check_group_size, number_of_groups

__all__ = ['GradientClippedCrossEntropyLoss', 'clipping_thresholds']


def clipping_thresholds(cost: Tensor, patch_size: int, start_value: float) -> Tensor:
    """Compute the thresholds above which the loss of a pixel is clipped (WeakTr, Eq. 10, 11 and 13).

    A threshold is the larger of the mean over the batch and the mean over the pixel's tile in all images of the batch.
    Ignored pixels, whose loss is 0, count in both means.

    Args:
        cost: (B, H, W) loss of each pixel, 0 where the label is ignored.
        patch_size: S, side of a tile; divides H and W.
        start_value: While the mean over the batch is above this, thresholds are infinite, so that nothing is clipped.

    Returns:
        (H, W), without gradient.

    Raises:
        ValueError: If tiles do not fit into the images.
    """
    height, width = cost.shape[1:]
    if height % patch_size or width % patch_size:
        raise ValueError(f'images of {height} x {width} pixels cannot be cut into tiles of {patch_size}: choose a '
                         'patch_size that divides the crop size')
    cost = cost.detach()
    overall = cost.mean()
    tiles = F.avg_pool2d(cost.mean(dim=0)[None], patch_size)[0]
    thresholds = torch.maximum(tiles, overall).where(overall <= start_value, torch.inf)
    return thresholds.repeat_interleave(patch_size, 0).repeat_interleave(patch_size, 1)


@MODELS.register_module()
class GradientClippedCrossEntropyLoss(nn.Module):
    """Cross-entropy whose values are clamped to a threshold for each tile (WeakTr, Eq. 9 to 13).

    A clamped pixel has no gradient. The gradient is the paper's masked mean; the value is larger, as clamped pixels add
    their thresholds. The loss needs the whole batch at once, at the size of the labels, as a ``loss_decode`` of any
    mmseg decode head gets it.

    While training, the share of labeled pixels that were clipped is logged as ``clipped_pixels``.

    Args:
        patch_size: S, side of the tiles with a threshold of their own, in pixels; divides the crop's sides.
        start_value: Clipping begins when the mean cost of a group is no longer above this, and pauses whenever it is.
        loss_weight: Factor of the result.
        loss_name: Key in the decode head's losses; starts with ``loss_`` to be part of the total.
        group_size: Number of images that share thresholds and the start of clipping, for instance 1 as published on
            COCO, where each of four processes had one image. None takes the whole batch of the process as one group.

    Attributes:
        kept: (B, H, W) bool of the latest batch: labeled pixels that were not clipped. None before.

    Raises:
        ValueError: If ``patch_size`` or ``group_size`` is not positive.
    """

    def __init__(self,
                 patch_size: int = 120,
                 start_value: float = 1.2,
                 loss_weight: float = 1.0,
                 loss_name: str = 'loss_clipped_ce',
                 group_size: Optional[int] = None) -> None:
        super().__init__()
        check_group_size(group_size)
        if patch_size < 1:
            raise ValueError(f'patch_size must be positive, got {patch_size}')
        self.patch_size = patch_size
        self.start_value = start_value
        self.loss_weight = loss_weight
        self.loss_name = loss_name
        self.group_size = group_size
        self.kept: Optional[Tensor] = None

    def forward(self,
                seg_logits: Tensor,
                seg_label: Tensor,
                weight: Optional[Tensor] = None,
                ignore_index: int = 255) -> Tensor:
        """Compute the loss.

        Args:
            seg_logits: (B, K, H, W).
            seg_label: (B, H, W) long, ``ignore_index`` where there is no label.
            weight: (B, H, W) factors of pixels, from a pixel sampler; they are part of the cost.
            ignore_index: Label that is left out, though it counts in all means.

        Returns:
            Scalar, the mean over all pixels.

        Raises:
            ValueError: If tiles do not fit into the images.
        """
        cost = F.cross_entropy(seg_logits.float(), seg_label, reduction='none', ignore_index=ignore_index)
        if weight is not None:
            cost = cost * weight
        count = number_of_groups(len(cost), self.group_size)
        thresholds = torch.empty_like(cost)
        for group in range(count):
            thresholds[group::count] = clipping_thresholds(cost[group::count], self.patch_size, self.start_value)
        clipped = cost > thresholds
        self._note(clipped, seg_label != ignore_index)
        return self.loss_weight * torch.where(clipped, thresholds, cost).mean()

    def _note(self, clipped: Tensor, labeled: Tensor) -> None:
        """Store which pixels were not clipped, and log the share of those that were."""
        self.kept = labeled & ~clipped
        if self.training:
            share = (clipped & labeled).sum() / labeled.sum().clamp(min=1)
            MessageHub.get_current_instance().update_scalar('train/clipped_pixels', share)
