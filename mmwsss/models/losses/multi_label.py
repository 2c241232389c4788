"""Loss of image-level classification."""

import torch
from torch import Tensor, nn

from mmwsss.registry import MODELS

__all__ = ['MultiLabelSoftMarginLoss']


@MODELS.register_module()
class MultiLabelSoftMarginLoss(nn.MultiLabelSoftMarginLoss):
    """torch's ``MultiLabelSoftMarginLoss``, computed in single precision or better.

    In half precision the sum over many classes loses digits.
    """

    def forward(self, logits: Tensor, image_labels: Tensor) -> Tensor:
        """Compare scores (B, C) with multi-hot labels (B, C); return a scalar."""
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return super().forward(logits, image_labels.to(logits))
