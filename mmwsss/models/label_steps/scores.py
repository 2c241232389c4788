"""Label steps that only use the scores: size, softmax, hard labels, absent classes and affinity."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from mmwsss.registry import MODELS

from ..utils import refine_with_affinity, resize_maps
from .base import LabelStep
from .batch import LabelBatch

__all__ = ['AffinityRefinement', 'Downscale', 'HardLabels', 'KeepPresent', 'Softmax', 'resized_scores']


@MODELS.register_module()
class Downscale(LabelStep):
    """Reduce the size of the scores, so that the following steps cost less.

    The labeler enlarges them to the size of the images again.

    Args:
        factor (int): The sides are divided by this and rounded down.

    Raises:
        ValueError: ``factor`` is below 1.
    """

    device = 'model'

    def __init__(self, factor: int = 2) -> None:
        if factor < 1:
            raise ValueError(f'factor must be 1 or more, got {factor}')
        self.factor = factor

    def transform(self, batch: LabelBatch) -> LabelBatch:
        """Resize to the size of the images divided by ``factor``, bilinearly."""
        return replace(batch, scores=resized_scores(batch, [max(side // self.factor, 1) for side in batch.size]))


@MODELS.register_module()
class Softmax(LabelStep):
    """Turn scores into probabilities of background and the classes of the image."""

    device = 'model'
    needs = ('background', )

    def transform(self, batch: LabelBatch) -> LabelBatch:
        """Compute the softmax over the planes; classes that an image does not show get 0."""
        absent = ~batch.filled[:, None, :, None, None]
        return replace(batch, scores=batch.scores.masked_fill(absent, float('-inf')).softmax(dim=2))


@MODELS.register_module()
class HardLabels(LabelStep):
    """Turn scores into the probabilities of hard labels with a given confidence, for a dense CRF that follows.

    The label of a pixel is the plane with the largest score. It gets ``confidence``; the rest is divided evenly
    among the other labels. WeakTr and TransCAM refine their labels in this way.

    Args:
        confidence (float): Probability that a label is right, in (0, 1].
        over (str): Labels among which the rest is divided: background and the ``'present'`` classes of the image, or
            ``'all'`` classes, which the following steps then use.

    Raises:
        ValueError: ``confidence`` is out of range or ``over`` is unknown.
    """

    needs = ('background', )

    def __init__(self, confidence: float = 0.7, over: str = 'present') -> None:
        if not 0 < confidence <= 1:
            raise ValueError(f'confidence must be in (0, 1], got {confidence}')
        if over not in ('present', 'all'):
            raise ValueError(f"over must be 'present' or 'all', got {over!r}")
        self.confidence = confidence
        self.over = over

    def transform(self, batch: LabelBatch) -> LabelBatch:
        """Return probabilities at the size of the images."""
        scores, filled = resized_scores(batch, batch.size), batch.filled
        planes = scores.masked_fill(~filled[:, None, :, None, None], float('-inf')).argmax(dim=2, keepdim=True)
        classes, present = batch.classes, batch.present
        if self.over == 'all':
            planes = batch.values.gather(1, planes.flatten(1)).view_as(planes)
            classes = torch.arange(batch.num_classes, device=planes.device).expand(len(planes), -1)
            present = torch.ones_like(classes, dtype=torch.bool)
            filled = torch.nn.functional.pad(present, (1, 0), value=True)
        rest = (1 - self.confidence) / (filled.sum(dim=1).double() - 1).clamp(min=1)
        spread = (rest[:, None] * filled).to(scores)[:, None, :, None, None]
        probs = spread.repeat(1, scores.shape[1], 1, *batch.size)
        probs.scatter_(2, planes, self.confidence)
        return replace(batch, scores=probs, classes=classes, present=present)


@MODELS.register_module()
class KeepPresent(LabelStep):
    """Leave out classes that do not have the largest score at any pixel of an image.

    Fewer planes make the steps that follow faster. The background always stays.
    """

    needs = ('background', )

    def transform(self, batch: LabelBatch) -> LabelBatch:
        """Return the planes that have the largest score at one pixel or more at any background level."""
        absent = ~batch.filled[:, None, :, None, None]
        winners = batch.scores.masked_fill(absent, float('-inf')).argmax(dim=2).flatten(1)
        wins = torch.zeros_like(batch.filled).scatter_(1, winners, True)[:, 1:] & batch.present
        order = torch.argsort(wins.to(torch.uint8), dim=1, descending=True, stable=True)
        order = order[:, :int(wins.sum(dim=1).max()) if wins.numel() else 0]
        planes = torch.nn.functional.pad(order + 1, (1, 0))[:, None, :, None, None]
        size = (-1, batch.scores.shape[1], -1, *batch.scores.shape[-2:])
        return replace(batch, scores=batch.scores.gather(2, planes.expand(size)),
                       classes=batch.classes.gather(1, order), present=wins.gather(1, order))


@MODELS.register_module()
class AffinityRefinement(LabelStep):
    """Spread scores along the affinity of positions in the batch, such as the attention between patches."""

    device = 'model'
    needs = ('affinity', )

    def transform(self, batch: LabelBatch) -> LabelBatch:
        """Multiply every plane with ``batch.affinity``, as :func:`~mmwsss.models.utils.refine_with_affinity` does."""
        refined = refine_with_affinity(batch.scores.flatten(1, 2), batch.affinity)
        return replace(batch, scores=refined.view_as(batch.scores))


def resized_scores(batch: LabelBatch, size: Sequence[int]) -> Tensor:
    """Resize the scores of a batch bilinearly to ``size`` (h, w): (B, T, 1 + P, h, w)."""
    scores = batch.scores
    return resize_maps(scores.flatten(1, 2), size).view(*scores.shape[:3], *size)
