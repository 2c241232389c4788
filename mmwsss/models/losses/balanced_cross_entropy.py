"""Cross-entropy that weighs background and foreground pixels equally."""

from typing import Optional

from torch import Tensor, nn
from torch.nn import functional as F

from mmwsss.registry import MODELS

from ..utils import check_group_size, mean_of_groups, spread_groups

__all__ = ['BalancedCrossEntropyLoss']


@MODELS.register_module()
class BalancedCrossEntropyLoss(nn.Module):
    """Mean of two cross-entropies, one over background pixels and one over foreground pixels (AFA, ToCo).

    Each is a mean over its own valid pixels of the batch, or of each group of images. A half without pixels counts as
    0, connected to the graph. Usable as ``loss_decode`` of any mmseg decode head.

    Args:
        loss_weight: Factor of the result.
        across_processes: Count the pixels of all processes' batches, so that several processes compute what one would
            with all their images. As published, each process counts its own.
        loss_name: Key in the decode head's losses; starts with ``loss_`` to be part of the total.
        group_size: Count the pixels of groups of this many images, and average over the groups, as several processes
            with this many images each do. None counts the whole batch of the process.

    Raises:
        ValueError: ``group_size`` is not positive, or is combined with ``across_processes``.
    """

    def __init__(self,
                 loss_weight: float = 1.0,
                 loss_name: str = 'loss_balanced_ce',
                 across_processes: bool = False,
                 group_size: Optional[int] = None) -> None:
        super().__init__()
        check_group_size(group_size, across_processes)
        self.loss_weight = loss_weight
        self.loss_name = loss_name
        self.across_processes = across_processes
        self.group_size = group_size

    def forward(self,
                seg_logits: Tensor,
                seg_label: Tensor,
                weight: Optional[Tensor] = None,
                ignore_index: int = 255) -> Tensor:
        """Compute the loss.

        Args:
            seg_logits: (B, K, H, W), background in channel 0.
            seg_label: (B, H, W) long, ``ignore_index`` where there is no label.
            weight: (B, H, W) factors of pixels, from a pixel sampler; they do not enter the divisors.
            ignore_index: Label that is left out.

        Returns:
            Scalar.
        """
        cost = F.cross_entropy(seg_logits, seg_label, reduction='none', ignore_index=ignore_index)
        if weight is not None:
            cost = cost * weight
        background = seg_label == 0
        foreground = (seg_label != 0) & (seg_label != ignore_index)
        halves = sum(mean_of_groups(cost, mask, self.group_size, self.across_processes)
                     for mask in (background, foreground))
        return self.loss_weight * 0.5 * spread_groups(halves, len(cost)).mean()
