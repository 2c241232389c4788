"""Loss of AffinityNet, of pairs of neighboring cells with equal and with different labels."""

import torch
from torch import Tensor, nn

from mmwsss.registry import MODELS

from ..utils import PairLabels, global_divisor

__all__ = ['PairAffinityLoss']


@MODELS.register_module()
class PairAffinityLoss(nn.Module):
    """Cross-entropy of the affinities of pairs, balanced over three kinds of pairs (PSA, CVPR 2018, Eq. 7 to 10).

    With a the affinity of a pair, ``-log(a + eps)`` is averaged over pairs of background and over pairs of one class,
    and ``-log(1 + eps - a)`` over pairs of different labels. Each average is a sum over the whole batch divided by the
    number of pairs and ``eps``; a kind without pairs counts as 0, connected to the graph.

    Args:
        background_weight: Weight of background pairs; 1/4 as published.
        foreground_weight: Weight of pairs of one class; 1/4.
        negative_weight: Weight of pairs of different labels; 1/2.
        eps: Added to avoid the logarithm of 0 and division by 0; see above.
        across_processes: Count the pairs of all processes' batches, so that several processes compute what one would
            with all their images, as the published code does on several GPUs. Otherwise each process counts its own.
    """

    def __init__(self,
                 background_weight: float = 0.25,
                 foreground_weight: float = 0.25,
                 negative_weight: float = 0.5,
                 eps: float = 1e-5,
                 across_processes: bool = True) -> None:
        super().__init__()
        self.weights = (background_weight, foreground_weight, negative_weight)
        self.eps = eps
        self.across_processes = across_processes

    def forward(self, affinities: Tensor, labels: PairLabels) -> Tensor:
        """Add up the :meth:`terms`.

        Args:
            affinities: (B, P, N_from) in (0, 1], see :func:`~mmwsss.models.utils.pair_affinity`.
            labels: Of these pairs, see :func:`~mmwsss.models.utils.pair_labels`.

        Returns:
            Scalar.
        """
        return sum(self.terms(affinities, labels).values())

    def terms(self, affinities: Tensor, labels: PairLabels) -> dict[str, Tensor]:
        """Compute the terms of the sum, with their weights.

        Args:
            affinities: See :meth:`forward`.
            labels: See :meth:`forward`.

        Returns:
            Scalars ``background``, ``foreground`` and ``negative``.
        """
        with torch.autocast(affinities.device.type, enabled=False):
            affinities = affinities if affinities.dtype == torch.double else affinities.float()
            equal, different = -(affinities + self.eps).log(), -(1 + self.eps - affinities).log()
            costs = (equal, equal, different)
            return {name: weight * (cost * mask).sum() / self._divisor(mask)
                    for name, mask, cost, weight in zip(labels._fields, labels, costs, self.weights)}

    def _divisor(self, mask: Tensor) -> Tensor:
        count = mask.sum().float()
        return global_divisor(count, self.eps) if self.across_processes else count + self.eps
