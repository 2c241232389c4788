"""The two contrastive losses of ToCo (CVPR 2023): of patch tokens, and of class tokens of views."""

import math
from typing import Optional

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmwsss.registry import MODELS

from ..utils import check_group_size, global_divisor, spread_groups, sum_groups

__all__ = ['ClassTokenContrastLoss', 'PatchTokenContrastLoss']

_SIMILARITIES = {'abs': torch.abs, 'relu': torch.relu, 'cos': lambda similarity: similarity}


@MODELS.register_module()
class PatchTokenContrastLoss(nn.Module):
    """Pull patch tokens of one pseudo label together and push those of different labels apart (ToCo, Eq. 3).

    ``0.5 * (1 - sum_P s / (|P| + 1)) + 0.5 * sum_Q s / (|Q| + 1)`` with s the similarity of two tokens, and P and Q
    the ordered pairs of equal and of different labels in the whole batch, or in each group of images. With no pair at
    all it is the constant 0.5.

    Args:
        similarity: ``'abs'`` absolute cosine (what is published), ``'relu'`` its positive part or ``'cos'`` itself
            (ToCo, Table 6).
        across_processes: Count the pairs of all processes' batches, so that several processes compute what one would
            with all their images. As published, each process counts its own.
        group_size: Count the pairs of groups of this many images, and average over the groups. With the number of
            images per process of a published setting, one process computes what several would: a batch of 4 in groups
            of 2 is the mean of 2 processes of 2 images. None counts the whole batch of the process.

    Raises:
        ValueError: ``similarity`` is unknown, ``group_size`` is not positive, or it is combined with
            ``across_processes``.
    """

    def __init__(self, similarity: str = 'abs', across_processes: bool = False,
                 group_size: Optional[int] = None) -> None:
        super().__init__()
        check_group_size(group_size, across_processes)
        if similarity not in _SIMILARITIES:
            raise ValueError(f'similarity must be one of {sorted(_SIMILARITIES)}, got {similarity!r}')
        self.similarity = similarity
        self.across_processes = across_processes
        self.group_size = group_size

    def forward(self, features: Tensor, affinity_labels: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            features: (B, D, h, w) patch tokens.
            affinity_labels: (B, N, N), N = h*w: 1 same label, 0 different, anything else ignored.

        Returns:
            Scalar.
        """
        tokens = F.normalize(features.flatten(2), dim=1, eps=1e-8)
        similarity = _SIMILARITIES[self.similarity](tokens.transpose(1, 2) @ tokens)
        same = (affinity_labels == 1).to(similarity)
        different = (affinity_labels == 0).to(similarity)
        pull = 1 - self._mean(similarity, same)
        push = self._mean(similarity, different)
        return 0.5 * spread_groups(pull + push, len(features)).mean()

    def _mean(self, similarity: Tensor, pairs: Tensor) -> Tensor:
        """Return the sum over the pairs of each group, (n,), divided by their number plus one."""
        count = sum_groups(pairs.sum(dim=(1, 2)), self.group_size)
        divisor = global_divisor(count, 1.) if self.across_processes else count + 1
        return sum_groups((similarity * pairs).sum(dim=(1, 2)), self.group_size) / divisor


@MODELS.register_module()
class ClassTokenContrastLoss(nn.Module):
    """Contrast the class tokens of views against those of a teacher (InfoNCE; ToCo, Eq. 4, as published in code).

    For each teacher view a: with ``e_j = exp(t_a . s_j / temperature)`` and N the sum of e_j over negative views,
    every positive view j costs ``-log(e_j / (e_j + N + eps))`` and the teacher view itself ``log(1 + N + eps)``. The
    sum over a and j is divided by ``G * (number of positives + eps)`` and averaged over images. The paper's equation
    has no second term; ``extra_term=False`` drops it.

    Args:
        temperature: Divisor of the products; 0.5 for VOC, 1.0 for COCO.
        extra_term: Keep the second term, as the published numbers do.
        eps: 1e-4 in the published numbers.
    """

    def __init__(self, temperature: float = 0.5, extra_term: bool = True, eps: float = 1e-4) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f'temperature must be positive, got {temperature}')
        self.temperature = temperature
        self.extra_term = extra_term
        self.eps = eps

    def forward(self, student: Tensor, teacher: Tensor, positive: Tensor) -> Tensor:
        """Compute the loss in float32.

        Args:
            student: (B, V, D) projected class tokens of all V views.
            teacher: (B, G, D) projected class tokens of the teacher's G views; no gradient flows into them.
            positive: (B, V) bool: whether a view shows the object.

        Returns:
            Scalar.
        """
        positive = positive[:, None, :]
        scores = teacher.detach().float() @ student.float().transpose(1, 2) / self.temperature
        # ln(N + eps); with it, -log(e_j / (e_j + N + eps)) is softplus(ln(N + eps) - score_j), which cannot overflow.
        negatives = scores.masked_fill(positive, -torch.inf)
        floor = scores.new_full((*scores.shape[:2], 1), math.log(self.eps))
        negatives = torch.cat([negatives, floor], dim=2).logsumexp(dim=2, keepdim=True)
        cost = (F.softplus(negatives - scores) * positive).sum(dim=(1, 2))
        if self.extra_term:
            cost = cost + F.softplus(negatives).sum(dim=(1, 2))
        return (cost / (teacher.shape[1] * (positive.sum(dim=(1, 2)) + self.eps))).mean()
