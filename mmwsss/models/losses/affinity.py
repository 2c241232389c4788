"""Loss of the pairwise scores of attention."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmwsss.registry import MODELS

from ..backbones.attention import ScoreFactors

__all__ = ['AffinityLoss']

_LAYER_REDUCTIONS = {'sum': torch.sum, 'mean': torch.mean}


@MODELS.register_module()
class AffinityLoss(nn.Module):
    """Push the affinity of tokens with equal labels up, and that of different labels down (AReAM, Eq. 18 and 19).

    With G the sigmoid of a layer's scores, and P and Q the ordered pairs of equal and of different labels, a layer
    costs ``pair_weight * (sum_P (1 - G) / (|P| + 1) + sum_Q G / (|Q| + 1))``. Layers are added with their weights.

    Args:
        pair_weight: 1 as in Eq. 18; 0.5 in AFA's code and in the code released for arXiv version 1.
        layer_reduction: ``'sum'`` over layers as in Eq. 19, or ``'mean'`` as in that code.
        scope: ``'image'``: pairs are counted, and layers weighted, by image, and images averaged; ``'batch'``: the
            pairs of the whole batch are pooled, and a layer's weight is the mean over images. Without pairs the
            loss and its gradient are 0.

    Raises:
        ValueError: ``layer_reduction`` or ``scope`` is unknown.
    """

    def __init__(self, pair_weight: float = 1., layer_reduction: str = 'sum', scope: str = 'image') -> None:
        super().__init__()
        if layer_reduction not in _LAYER_REDUCTIONS:
            raise ValueError(f"layer_reduction must be 'sum' or 'mean', got {layer_reduction!r}")
        if scope not in ('image', 'batch'):
            raise ValueError(f"scope must be 'image' or 'batch', got {scope!r}")
        self.pair_weight = pair_weight
        self.layer_reduction = layer_reduction
        self.scope = scope

    def forward(self, affinity_logits: Tensor, affinity_labels: Tensor, layer_weights: Tensor) -> Tensor:
        """Compute the loss in float32.

        Args:
            affinity_logits: (B, L, N, N) scores of L layers before softmax.
            affinity_labels: (B, N, N): 1 same label, 0 different, anything else ignored.
            layer_weights: (B, L), constants.

        Returns:
            Scalar.
        """
        with torch.autocast(affinity_logits.device.type, enabled=False):
            pair_weights, constant = self._pairs(affinity_labels)
            costs = [_weighted_sum(logits, pair_weights) for logits in affinity_logits.unbind(1)]
            return self._reduce(torch.stack(costs, dim=1) + constant, layer_weights)

    def of_factors(self, factors: Sequence[ScoreFactors], affinity_labels: Tensor, layer_weights: Tensor) -> Tensor:
        """Compute the loss layer by layer, so that the scores of all layers are never in memory at once.

        The scores are computed again in the backward pass.

        Args:
            factors: Of L layers, each for (B, N, N) scores.
            affinity_labels: See :meth:`forward`.
            layer_weights: See :meth:`forward`.
        """
        with torch.autocast(affinity_labels.device.type, enabled=False):
            pair_weights, constant = self._pairs(affinity_labels)
            costs = [checkpoint(_weighted_product, *layer, pair_weights, use_reentrant=False, preserve_rng_state=False)
                     for layer in factors]
            return self._reduce(torch.stack(costs, dim=1) + constant, layer_weights)

    def _pairs(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Split the cost into a sum of G with weights (B, N, N), the same for all layers, and a constant (B, 1)."""
        same, different = labels == 1, labels == 0
        num_same, num_different = self._count(same), self._count(different)
        constant = same.sum(dim=(1, 2), keepdim=True) / (num_same + 1)
        return different / (num_different + 1) - same / (num_same + 1), constant[:, :, 0]

    def _count(self, pairs: Tensor) -> Tensor:
        """Return the number of pairs by which sums are divided, (B or 1, 1, 1)."""
        return pairs.sum(dim=(1, 2) if self.scope == 'image' else (0, 1, 2), keepdim=True)

    def _reduce(self, costs: Tensor, layer_weights: Tensor) -> Tensor:
        """Weigh costs (B, L) and reduce them over layers and images."""
        layer_weights = layer_weights.detach().to(costs)
        if self.scope == 'batch':
            costs, layer_weights = costs.sum(dim=0), layer_weights.mean(dim=0)
        costs = _LAYER_REDUCTIONS[self.layer_reduction](layer_weights * costs, dim=-1)
        return self.pair_weight * costs.mean()


def _weighted_sum(logits: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted sum (B,) of the sigmoid of scores (B, N, N), with weights of the same shape."""
    return torch.bmm(logits.float().sigmoid().flatten(1)[:, None], weights.flatten(1)[:, :, None])[:, 0, 0]


def _weighted_product(query: Tensor, key: Tensor, scale: float, weights: Tensor) -> Tensor:
    return _weighted_sum(ScoreFactors(query, key, scale).product(), weights)
