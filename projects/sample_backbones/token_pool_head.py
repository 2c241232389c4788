"""Classification from the tokens of a ViT, pooled in several ways at once."""

from collections.abc import Sequence

import torch
from mmpretrain.models import ClsHead
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from mmwsss.registry import MODELS

__all__ = ['TokenPoolClsHead']

_POOLS = {
    'cls': lambda tokens: tokens[:, 0],
    'mean': lambda tokens: tokens[:, 1:].mean(dim=1),
    'max': lambda tokens: tokens[:, 1:].amax(dim=1),
}


@MODELS.register_module()
class TokenPoolClsHead(ClsHead):
    """One linear classifier per way of pooling the tokens, each with its own cross-entropy.

    The class token's classifier makes the class token informative; the one on the maximum of the patch tokens over
    space, which is how ToCo and its kin pool them, puts class evidence into the patch tokens; the one on their mean
    gives every patch token a gradient from the first iteration on.

    Args:
        num_classes: Number of classes.
        in_channels: Width of the tokens.
        pools: Any of ``'cls'``, ``'mean'`` and ``'max'``.
        **kwargs: Arguments of mmpretrain's ``ClsHead``.

    Raises:
        ValueError: ``num_classes`` is below 2, or ``pools`` is empty or has an unknown name.
    """

    def __init__(self, num_classes: int, in_channels: int, pools: Sequence[str] = ('cls', 'mean', 'max'),
                 **kwargs) -> None:
        kwargs.setdefault('init_cfg', dict(type='TruncNormal', layer='Linear', std=0.02))
        kwargs.setdefault('loss', dict(type='mmpretrain.CrossEntropyLoss', loss_weight=1.0))
        super().__init__(**kwargs)
        if num_classes < 2:
            raise ValueError(f'num_classes must be at least 2, got {num_classes}')
        if not pools or set(pools) - set(_POOLS):
            raise ValueError(f'pools must be a non-empty choice of {sorted(_POOLS)}, got {pools!r}')
        self.classifiers = nn.ModuleDict({name: nn.Linear(in_channels, num_classes) for name in pools})

    def pooled_logits(self, feats: tuple) -> dict[str, Tensor]:
        """Score the last stage's tokens.

        Args:
            feats: Stages; the last is (B, 1 + N, D), the class token first (``out_type='raw'``).

        Returns:
            Logits (B, C) by name of the pooling.
        """
        return {name: fc(_POOLS[name](feats[-1])) for name, fc in self.classifiers.items()}

    def forward(self, feats: tuple) -> Tensor:
        """Return the mean of all logits, (B, C)."""
        return torch.stack(list(self.pooled_logits(feats).values())).mean(0)

    def loss(self, feats: tuple, data_samples: list[DataSample], **kwargs) -> dict:
        """Compute the cross-entropies; with ``cal_acc`` also the top-1 accuracy of each in percent."""
        target = torch.cat([sample.gt_label for sample in data_samples])
        losses = {}
        for name, logits in self.pooled_logits(feats).items():
            logits = logits.float()
            losses[f'loss_{name}'] = self.loss_module(logits, target, avg_factor=len(target), **kwargs)
            if self.cal_acc:
                losses[f'{name}_accuracy'] = (logits.argmax(1) == target).float().mean() * 100
        return losses
