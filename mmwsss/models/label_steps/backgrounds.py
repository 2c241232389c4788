"""Label steps that set the background scores."""

from dataclasses import replace
from typing import Optional

import numpy as np
import torch
from torch import Tensor

from mmwsss.registry import MODELS

from .base import LabelStep
from .batch import LabelBatch

__all__ = ['AlphaBackground', 'ConstantBackground', 'ImageBackground']


@MODELS.register_module()
class ConstantBackground(LabelStep):
    """Set the background to a constant score: a pixel is foreground where the CAM of a class exceeds it.

    Args:
        threshold (float, optional): The score, in [0, 1].
        low (float, optional): Instead of ``threshold``, the lower one of two scores, which become two background
            levels. :class:`MergeLevels` makes 255 of the pixels on which the labels of the two disagree.
        high (float, optional): The higher one of the two scores.

    Raises:
        ValueError: Neither ``threshold`` alone nor ``low`` and ``high`` are given, a score is outside [0, 1], or
            ``high`` is below ``low``.
    """

    gives = ('background', )

    def __init__(self, threshold: Optional[float] = None, low: Optional[float] = None,
                 high: Optional[float] = None) -> None:
        given = (threshold is not None, low is not None, high is not None)
        if given not in ((True, False, False), (False, True, True)):
            raise ValueError('ConstantBackground takes a threshold, or low and high, got '
                             f'threshold={threshold}, low={low} and high={high}')
        self.levels = [threshold] if given[0] else [low, high]
        if not 0 <= self.levels[0] <= self.levels[-1] <= 1:
            raise ValueError('background scores must be in [0, 1] and high not below low, got '
                             + (f'threshold={threshold}' if given[0] else f'low={low} and high={high}'))

    def transform(self, batch: LabelBatch) -> LabelBatch:
        """Fill the background; with two scores, the result has two levels."""
        levels = batch.scores.new_tensor(self.levels).expand(len(batch.scores), -1)
        return _with_levels(batch, levels, self)


@MODELS.register_module()
class ImageBackground(LabelStep):
    """Set the background of each image to the scores that the image brings along as ``batch.thresholds``.

    With several scores, the result has as many background levels, as with ``low`` and ``high`` of
    :class:`ConstantBackground`. DuPL's thresholds depend on the classes of an image and on the iteration.
    """

    needs = ('thresholds', )
    gives = ('background', )

    def transform(self, batch: LabelBatch) -> LabelBatch:
        """Fill the background."""
        return _with_levels(batch, batch.thresholds.to(batch.scores), self)


@MODELS.register_module()
class AlphaBackground(LabelStep):
    """Set the background to the score ``(1 - max CAM) ** alpha`` (PSA, CVPR 2018, Eq. 2).

    Args:
        alpha (float): Exponent, above 0; the smaller, the stronger the background.

    Raises:
        ValueError: ``alpha`` is not positive.
    """

    gives = ('background', )

    def __init__(self, alpha: float) -> None:
        if not alpha > 0:
            raise ValueError(f'alpha must be positive, got {alpha}')
        self.alpha = float(alpha)

    def transform(self, batch: LabelBatch) -> LabelBatch:
        """Fill the background, which is 1 in images without classes."""
        maps = _single_level(batch, self)[:, 0, 1:]
        shown = maps.masked_fill(~batch.present[:, :, None, None], 0)
        best = shown.amax(dim=1, keepdim=True).clamp(min=0) if shown.shape[1] else maps.new_zeros(
            len(maps), 1, *maps.shape[-2:])
        # torch's power differs from NumPy's in the last bit; NumPy's keeps the results of earlier versions.
        background = torch.from_numpy(np.asarray((1 - best).cpu().numpy()**self.alpha)).to(maps)
        return replace(batch, scores=torch.cat([background, maps], dim=1)[:, None], has_background=True)


def _with_levels(batch: LabelBatch, levels: Tensor, step: LabelStep) -> LabelBatch:
    """Return a batch with the background scores (B, T), one level for each."""
    maps = _single_level(batch, step)[:, :, 1:].expand(-1, levels.shape[1], -1, -1, -1)
    background = levels[:, :, None, None, None].expand(-1, -1, 1, *maps.shape[-2:])
    return replace(batch, scores=torch.cat([background, maps], dim=2), has_background=True)


def _single_level(batch: LabelBatch, step: LabelStep) -> Tensor:
    """Return the scores of a batch (B, 1, 1 + P, h, w).

    Raises:
        ValueError: There are several background levels already.
    """
    if batch.scores.shape[1] != 1:
        raise ValueError(f'{type(step).__name__} needs scores with one background level, there are '
                         f'{batch.scores.shape[1]}: leave out the step that made them')
    return batch.scores
