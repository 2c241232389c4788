"""Labelers, which turn scores into labels."""

from typing import Optional

import torch
from torch import Tensor

from mmwsss.registry import MODELS

from ..utils import IGNORE_INDEX, cams_to_labels
from .base import Labeler
from .batch import LabelBatch
from .scores import resized_scores

__all__ = ['Argmax', 'MergeLevels', 'ThresholdLabels']


@MODELS.register_module()
class Argmax(Labeler):
    """Label each pixel with its largest score; among equal scores background and lower classes come first."""

    def __call__(self, batch: LabelBatch) -> Tensor:
        """Return the labels (B, H, W).

        Raises:
            ValueError: There are several background levels.
        """
        if batch.scores.shape[1] != 1:
            raise ValueError(f'Argmax needs scores with one background level, there are {batch.scores.shape[1]}: '
                             'use the labeler MergeLevels')
        return _largest(batch)[:, 0]


@MODELS.register_module()
class MergeLevels(Labeler):
    """Merge the labels of a low and a high background level; with one level, the result is that of :class:`Argmax`.

    A pixel is foreground if it is with the high background, background if it is with the low one as well, and 255
    otherwise (two-pass pseudo labels of AFA and ToCo, CVPR 2023).
    """

    def __call__(self, batch: LabelBatch) -> Tensor:
        """Return the labels (B, H, W)."""
        labels = _largest(batch)
        low, high = labels[:, 0], labels[:, -1]
        return high.masked_fill(high == 0, IGNORE_INDEX).masked_fill((high == 0) & (low == 0), 0)


@MODELS.register_module()
class ThresholdLabels(Labeler):
    """Compare the maps themselves with one or two thresholds, without a background plane.

    See :func:`~mmwsss.models.utils.cams_to_labels` (AReAM, arXiv 2305.03112, Eq. 16).

    Args:
        low (float): Scores up to this are background.
        high (float, optional): Scores above ``low`` and up to this are 255; without it there is no 255.

    Raises:
        ValueError: ``high`` is below ``low``.
    """

    needs = ()

    def __init__(self, low: float, high: Optional[float] = None) -> None:
        if high is not None and high < low:
            raise ValueError(f'high ({high}) must not be below low ({low})')
        self.low = low
        self.high = high

    def __call__(self, batch: LabelBatch) -> Tensor:
        """Return the labels (B, H, W)."""
        maps = resized_scores(batch, batch.size)[:, 0, 1:]
        planes = cams_to_labels(maps, batch.present, self.low, self.high)
        table = torch.cat([batch.values, batch.values.new_full((len(maps), IGNORE_INDEX), IGNORE_INDEX)], dim=1)
        table[:, IGNORE_INDEX] = IGNORE_INDEX
        return table.gather(1, planes.flatten(1)).view_as(planes)


def _largest(batch: LabelBatch) -> Tensor:
    """Return the labels (B, T, H, W) of the largest plane at every background level."""
    scores = resized_scores(batch, batch.size)
    planes = scores.masked_fill(~batch.filled[:, None, :, None, None], float('-inf')).argmax(dim=2)
    return batch.values.gather(1, planes.flatten(1)).view_as(planes)
