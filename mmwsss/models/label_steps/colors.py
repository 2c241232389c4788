"""Colors of an image as code sees them that converts the input of a network back to 8 bits."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from mmwsss.registry import MODELS

from ..utils import mask_outside_boxes
from .base import LabelStep
from .batch import LabelBatch

__all__ = ['MeanSubtractedColors', 'RoundTripColors', 'round_trip_table']


@MODELS.register_module()
class RoundTripColors(LabelStep):
    """Normalize colors, convert them back, and cut off the decimals, for a dense CRF that follows (TransCAM).

    The published code of TransCAM gives its CRFs such an image instead of the original. Many colors become one lower:
    42 % of them where normalization is computed in double precision, as it is before the random walk, and 18 % in
    single precision, as in its DeepLab.

    Args:
        double (bool): Compute the normalization in double precision. Its result is single precision either way.
        mean (Sequence[float]): Mean color in the order RGB, in [0, 1].
        std (Sequence[float]): Its deviation.
    """

    def __init__(self,
                 double: bool = False,
                 mean: Sequence[float] = (0.485, 0.456, 0.406),
                 std: Sequence[float] = (0.229, 0.224, 0.225)) -> None:
        self.double = double
        self.mean = tuple(mean)
        self.std = tuple(std)

    def transform(self, batch: LabelBatch) -> LabelBatch:
        """Replace the images; padding, which is what ``boxes`` leave out, keeps its colors.

        Raises:
            TypeError: They are not uint8.
        """
        _require_bytes(self, batch)
        # The cache keeps the images alive, by whose identity other steps cache in turn.
        key = (type(self).__name__, id(batch.images), self.double, self.mean, self.std)
        if key not in batch.cache:
            table = torch.from_numpy(round_trip_table(self.mean, self.std, self.double)).to(batch.images.device)
            planes = [table[channel][batch.images[:, channel].long()] for channel in range(3)]
            batch.cache[key] = (batch.images, _inside_boxes(torch.stack(planes, dim=1), batch))
        return replace(batch, images=batch.cache[key][1])


@MODELS.register_module()
class MeanSubtractedColors(LabelStep):
    """Subtract the mean color, cut off the decimals and keep the lowest 8 bits, for a dense CRF that follows.

    The PyTorch port of DeepLab-V2 gives its CRF such an image, in the order BGR: colors darker than the mean become
    256 brighter. The order matters, too, because the CRF's filter is not the same in all directions of the color space.

    Args:
        mean (Sequence[float]): Mean color in the order BGR, 0 to 255; zeros only change the order of the channels.
    """

    def __init__(self, mean: Sequence[float] = (104.008, 116.669, 122.675)) -> None:
        self.mean = tuple(mean)

    def transform(self, batch: LabelBatch) -> LabelBatch:
        """Replace the images by such images in the order BGR.

        Raises:
            TypeError: They are not uint8.
        """
        _require_bytes(self, batch)
        key = (type(self).__name__, id(batch.images), self.mean)
        if key not in batch.cache:
            mean = torch.tensor(self.mean, device=batch.images.device)[:, None, None]
            shifted = (batch.images.flip(1) - mean).trunc().to(torch.int64)
            batch.cache[key] = (batch.images, (shifted % 256).to(torch.uint8))
        return replace(batch, images=batch.cache[key][1])


def _require_bytes(step: LabelStep, batch: LabelBatch) -> None:
    if batch.images.dtype != torch.uint8:
        raise TypeError(f'{type(step).__name__} needs images of 8 bits, got {batch.images.dtype}')


def _inside_boxes(colors: Tensor, batch: LabelBatch) -> Tensor:
    """Return new colors (B, 3, H, W) inside of the boxes, and those of the batch outside."""
    if batch.boxes is None:
        return colors
    outside = mask_outside_boxes(torch.zeros_like(colors[:, 0]), batch.boxes, 1).bool()
    return torch.where(outside[:, None], batch.images, colors)


def round_trip_table(mean: Sequence[float], std: Sequence[float], double: bool) -> np.ndarray:
    """Compute what becomes of each color that is normalized, converted back and truncated.

    Args:
        mean: Mean of each channel, in [0, 1].
        std: Deviation of each channel.
        double: Compute the normalization in double precision.

    Returns:
        (C, 256) uint8.
    """
    means, stds = (np.asarray(value, np.float64)[:, None] for value in (mean, std))
    levels = np.arange(256, dtype=np.float64 if double else np.float32)
    normalized = ((levels / 255 - means.astype(levels.dtype)) / stds.astype(levels.dtype)).astype(np.float32)
    restored = (normalized * stds.astype(np.float32) + means.astype(np.float32)) * np.float32(255)
    return restored.clip(0, 255).astype(np.uint8)
