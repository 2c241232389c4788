"""The contrastive loss of MCTformer+: class tokens of one image should differ from each other."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmwsss.registry import MODELS

__all__ = ['ContrastiveClassTokenLoss']


@MODELS.register_module()
class ContrastiveClassTokenLoss(nn.Module):
    """Make every class token of an image most similar to itself (MCTformer+, arXiv 2308.03005).

    The cosine similarities of a token to all C tokens of its image, without a temperature, are scores of a classifier
    that should find the token itself. The cross-entropy counts for the tokens of present classes; it is averaged over
    these, over layers and over images. An image without a class counts as 0.
    """

    def forward(self, class_tokens: Tensor, image_labels: Tensor) -> Tensor:
        """Compute the loss in single precision or better.

        Args:
            class_tokens: (L, B, C, D) of L layers.
            image_labels: (B, C) multi-hot.

        Returns:
            Scalar.
        """
        with torch.autocast(class_tokens.device.type, enabled=False):
            tokens = class_tokens.to(torch.promote_types(class_tokens.dtype, torch.float32))
            tokens = F.normalize(tokens, dim=-1)
            costs = -(tokens @ tokens.mT).log_softmax(dim=-1).diagonal(dim1=-2, dim2=-1)
            present = image_labels.to(costs)
            return ((costs * present).sum(dim=-1) / (present.sum(dim=-1) + 1e-8)).mean()
