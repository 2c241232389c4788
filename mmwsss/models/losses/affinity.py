"""Supervision of the pairwise scores that attention is made of."""

import torch
from torch import Tensor, nn

from mmwsss.registry import MODELS

__all__ = ['AffinityLoss']

_LAYER_REDUCTIONS = {'sum': torch.sum, 'mean': torch.mean}


@MODELS.register_module()
class AffinityLoss(nn.Module):
    """Make pairs of tokens with one pseudo label score high, and those with different labels low (AReAM, Eq. 18, 19).

    With G the sigmoid of a layer's scores, and P and Q the ordered pairs of equal and of different labels, a layer
    costs ``pair_weight * (sum_P (1 - G) / (|P| + 1) + sum_Q G / (|Q| + 1))``. Layers are added with their weights.

    Args:
        pair_weight: 1 as in Eq. 18; 0.5 in AFA's code and in the code released for arXiv version 1.
        layer_reduction: ``'sum'`` over layers as in Eq. 19, or ``'mean'`` as in that code.
        scope: ``'image'``: pairs are counted, and layers weighted, by image, and images averaged; ``'batch'``: the
            pairs of the whole batch are pooled, and a layer's weight is the mean over images. Without pairs nothing
            is lost and nothing is learnt.

    Raises:
        ValueError: On another ``layer_reduction`` or ``scope``.
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
            # sum_P (1 - G) / (|P| + 1) + sum_Q G / (|Q| + 1) is a constant plus one weighted sum of G, and the weights
            # are the same for all layers.
            same, different = affinity_labels == 1, affinity_labels == 0
            num_same, num_different = self._count(same), self._count(different)
            weights = different / (num_different + 1) - same / (num_same + 1)
            scores = affinity_logits.float().sigmoid().flatten(2)
            costs = torch.bmm(scores, weights.flatten(1)[:, :, None])[:, :, 0]
            costs = costs + (same.sum(dim=(1, 2), keepdim=True) / (num_same + 1))[:, :, 0]
            layer_weights = layer_weights.detach().to(costs)
            if self.scope == 'batch':
                costs, layer_weights = costs.sum(dim=0), layer_weights.mean(dim=0)
            costs = _LAYER_REDUCTIONS[self.layer_reduction](layer_weights * costs, dim=-1)
            return self.pair_weight * costs.mean()

    def _count(self, pairs: Tensor) -> Tensor:
        """Number of pairs by which sums are divided, (B or 1, 1, 1)."""
        return pairs.sum(dim=(1, 2) if self.scope == 'image' else (0, 1, 2), keepdim=True)
