"""Cross-entropy that weighs background and foreground pixels equally."""

from typing import Optional

from torch import Tensor, nn
from torch.nn import functional as F

from mmwsss.registry import MODELS

from ..utils import global_divisor

__all__ = ['BalancedCrossEntropyLoss']


@MODELS.register_module()
class BalancedCrossEntropyLoss(nn.Module):
    """Mean of two cross-entropies, one over background pixels and one over foreground pixels (AFA, ToCo).

    Each is a mean over its own valid pixels of the batch. A half without pixels counts as 0, connected to the graph.
    Usable as ``loss_decode`` of any mmseg decode head.

    Args:
        loss_weight: Factor of the result.
        across_processes: Count the pixels of all processes' batches, so that several processes compute what one would
            with all their images. As published, each process counts its own.
        loss_name: Key in the decode head's losses; starts with ``loss_`` to be part of the total.
    """

    def __init__(self,
                 loss_weight: float = 1.0,
                 loss_name: str = 'loss_balanced_ce',
                 across_processes: bool = False) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.loss_name = loss_name
        self.across_processes = across_processes

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
        halves = [(cost * mask).sum() / self._divisor(mask) for mask in (background, foreground)]
        return self.loss_weight * 0.5 * (halves[0] + halves[1])

    def _divisor(self, mask: Tensor) -> Tensor:
        """Return the number of pixels as a divisor that is never 0; without pixels the numerator is 0."""
        count = mask.sum().float()
        return (global_divisor(count) if self.across_processes else count).clamp(min=1e-3)
