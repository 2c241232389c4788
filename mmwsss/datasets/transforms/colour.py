"""Random colours of training images."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from mmwsss.registry import TRANSFORMS

__all__ = ['HSVShift']


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
