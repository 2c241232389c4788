"""Random changes to the pixel values of training images."""

import math
from collections.abc import Sequence
from typing import Optional

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from mmwsss.registry import TRANSFORMS

__all__ = ['HSVShift', 'NoiseErasing']


@TRANSFORMS.register_module()
class HSVShift(BaseTransform):
    """Add a random whole number to each channel of an image's 8-bit HSV (second stage of TransCAM).

    Hue, of 180 levels, wraps around; saturation and value are clipped.

    Args:
        delta: Limit of the numbers, each of -delta to delta equally likely.

    Raises:
        ValueError: If ``delta`` is negative.
    """

    def __init__(self, delta: int = 10) -> None:
        if delta < 0:
            raise ValueError(f'delta must not be negative, got {delta}')
        self.delta = delta

    @cache_randomness
    def _shifts(self) -> np.ndarray:
        return np.random.randint(-self.delta, self.delta + 1, 3)

    def transform(self, results: dict) -> dict:
        """Replace ``img`` (H, W, 3), uint8 BGR."""
        hsv = cv2.cvtColor(results['img'], cv2.COLOR_BGR2HSV).astype(np.int64) + self._shifts()
        hsv[..., 0] %= 180
        results['img'] = cv2.cvtColor(hsv.clip(0, 255).astype(np.uint8), cv2.COLOR_HSV2BGR)
        return results

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(delta={self.delta})'


@TRANSFORMS.register_module()
class NoiseErasing(BaseTransform):
    """Fill one random box of an image with noise that normalization turns into N(0, 1) per pixel and channel.

    This is random erasing in its per-pixel mode, which DeiT applies after the normalization. Here the
    model normalizes, so the box is filled with ``mean + std * noise``. Rounding and clipping that to 8 bits would
    change some 3 % of the values (ImageNet's mean and deviation); an image that gets a box therefore becomes float32.
    Must be the last step that changes pixels.

    A box has an area of U(0.02, 1/3) of the image's and an aspect of log-U(0.3, 1/0.3); up to 10 are drawn until one
    is smaller than the image in both directions, and if none is, the image stays as it is.

    Args:
        mean (Sequence[float]): What normalization subtracts, per channel of the image as the pipeline holds it (BGR).
        std (Sequence[float]): What it divides by.
        prob (float): Probability of a box.
        area_range (tuple[float, float]): Limits of the box's share of the image.
        aspect_range (tuple[float, float]): Limits of height / width.
        max_attempts (int): How many boxes are drawn at most.

    Raises:
        ValueError: ``prob`` is not in [0, 1], or a range is not increasing and positive.
    """

    def __init__(self,
                 mean: Sequence[float],
                 std: Sequence[float],
                 prob: float = 0.25,
                 area_range: tuple[float, float] = (0.02, 1 / 3),
                 aspect_range: tuple[float, float] = (0.3, 1 / 0.3),
                 max_attempts: int = 10) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'prob must be in [0, 1], got {prob}')
        for name, (low, high) in (('area_range', area_range), ('aspect_range', aspect_range)):
            if not 0 < low <= high:
                raise ValueError(f'{name} must be (low, high) with 0 < low <= high, got {(low, high)}')
        self.mean = np.asarray(mean, np.float32)
        self.std = np.asarray(std, np.float32)
        self.prob = prob
        self.area_range = area_range
        self.aspect_range = aspect_range
        self.max_attempts = max_attempts

    @cache_randomness
    def _box(self, height: int, width: int) -> Optional[tuple[int, int, int, int]]:
        """Draw a box ``(top, left, height, width)``, or None."""
        if np.random.rand() >= self.prob:
            return None
        for _ in range(self.max_attempts):
            area = np.random.uniform(*self.area_range) * height * width
            aspect = math.exp(np.random.uniform(*np.log(self.aspect_range)))
            rows, cols = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if rows < height and cols < width:
                return np.random.randint(height - rows + 1), np.random.randint(width - cols + 1), rows, cols
        return None

    def transform(self, results: dict) -> dict:
        """Replace ``img`` (H, W, C) by a float32 copy with a box of noise, or leave it unchanged."""
        box = self._box(*results['img'].shape[:2])
        if box is not None:
            top, left, rows, cols = box
            image = results['img'].astype(np.float32)
            noise = np.random.standard_normal((rows, cols, image.shape[2])).astype(np.float32)
            image[top:top + rows, left:left + cols] = self.mean + self.std * noise
            results['img'] = image
        return results

    def __repr__(self) -> str:
        return (f'{self.__class__.__name__}(prob={self.prob}, area_range={self.area_range}, '
                f'aspect_range={self.aspect_range}, max_attempts={self.max_attempts})')
