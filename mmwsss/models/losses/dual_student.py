"""Losses between two students that train each other (DuPL, CVPR 2024)."""

from typing import Optional

from torch import Tensor, nn
from torch.nn import functional as F

from mmwsss.registry import MODELS

from ..utils import IGNORE_INDEX, check_group_size, mean_of_groups, spread_groups

__all__ = ['ConfidentConsistencyLoss', 'FeatureDiscrepancyLoss']


@MODELS.register_module()
class FeatureDiscrepancyLoss(nn.Module):
    """Make the feature maps of two students differ, so that their class maps have different errors (DuPL).

    ``(1 + mean cos(sg(a), b)) + (1 + mean cos(sg(b), a))``, where sg stops the gradient. As in the published code, the
    cosine compares the two maps of a channel, as vectors over the positions, and the mean is over channels and images.

    Args:
        eps: Least product of lengths by which the cosine divides.
    """

    def __init__(self, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Compute the loss in float32, or in float64 if that is the type of the features.

        Args:
            first: (B, D, h, w) features of one student.
            second: (B, D, h, w) features of the other.

        Returns:
            Scalar from 0, for opposite features, to 4, for equal ones.
        """
        pair = [features.flatten(2) if features.element_size() > 4 else features.float().flatten(2)
                for features in (first, second)]
        return 2 + sum(F.cosine_similarity(fixed.detach(), moved, dim=2, eps=self.eps).mean()
                       for fixed, moved in (pair, pair[::-1]))


@MODELS.register_module()
class ConfidentConsistencyLoss(nn.Module):
    """Train a perturbed view on confident predictions of the unchanged view, where there is no pseudo label (DuPL).

    The mean cross-entropy over the pixels without a label at which the largest probability exceeds ``confidence``; the
    class with that probability is the target.

    Args:
        confidence: Probability that a prediction must exceed, in [0, 1).
        group_size: Count the pixels of groups of this many images, and average over the groups, as several processes
            with this many images each do. None counts the whole batch of the process.
        across_processes: Count the pixels of all processes' batches.

    Raises:
        ValueError: ``confidence`` is out of range, or ``group_size`` is not positive or is combined with
            ``across_processes``.
    """

    def __init__(self, confidence: float = 0.9, group_size: Optional[int] = None,
                 across_processes: bool = False) -> None:
        super().__init__()
        check_group_size(group_size, across_processes)
        if not 0 <= confidence < 1:
            raise ValueError(f'confidence must be in [0, 1), got {confidence}')
        self.confidence = confidence
        self.group_size = group_size
        self.across_processes = across_processes

    def forward(self, perturbed: Tensor, seg_logits: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            perturbed: (B, K, H, W) logits of the perturbed view, at the positions of the unchanged one.
            seg_logits: (B, K, H, W) logits of the unchanged view; no gradient flows into them.
            labels: (B, H, W) long pseudo labels, 255 where there is none.

        Returns:
            Scalar; 0, connected to the graph, without such pixels.
        """
        probs, targets = seg_logits.detach().softmax(dim=1).max(dim=1)
        chosen = (labels == IGNORE_INDEX) & (probs > self.confidence)
        cost = F.cross_entropy(perturbed, targets, reduction='none')
        means = mean_of_groups(cost, chosen, self.group_size, self.across_processes)
        return spread_groups(means, len(cost)).mean()
