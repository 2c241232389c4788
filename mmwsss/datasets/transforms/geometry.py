"""Random geometry of training images."""

from collections.abc import Sequence
from typing import Union

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from mmwsss.registry import TRANSFORMS

__all__ = ['RandomPlaceCrop', 'RandomScale']


@TRANSFORMS.register_module()
class RandomScale(BaseTransform):
    """Resize an image by a random factor, both sides alike, and masks with it by nearest neighbour.

    Args:
        ratio_range: Limits of the uniform draw; sizes are rounded down.
        interpolation: ``'bilinear'``, ``'bicubic'`` or ``'lanczos'``.
        backend: ``'pillow'``, with antialiasing when the image shrinks, or ``'cv2'``, without.
    """

    def __init__(self, ratio_range: tuple[float, float] = (0.5, 2.0), interpolation: str = 'bilinear',
                 backend: str = 'pillow') -> None:
        if not 0 < ratio_range[0] <= ratio_range[1]:
            raise ValueError(f'ratio_range must be (low, high) with 0 < low <= high, got {ratio_range}')
        self.ratio_range = ratio_range
        self.interpolation = interpolation
        self.backend = backend

    @cache_randomness
    def _ratio(self) -> float:
        return np.random.uniform(*self.ratio_range)

    def transform(self, results: dict) -> dict:
        """Replace ``img`` (H, W, 3), ``img_shape`` and what ``seg_fields`` names."""
        ratio = self._ratio()
        height, width = results['img'].shape[:2]
        size = (max(int(ratio * width), 1), max(int(ratio * height), 1))
        results['img'] = mmcv.imresize(results['img'], size, interpolation=self.interpolation, backend=self.backend)
        for name in results.get('seg_fields', ()):
            results[name] = mmcv.imresize(results[name], size, interpolation='nearest', backend=self.backend)
        results['img_shape'] = results['img'].shape[:2]
        return results

    def __repr__(self) -> str:
        return (f'{self.__class__.__name__}(ratio_range={self.ratio_range}, interpolation={self.interpolation!r}, '
                f'backend={self.backend!r})')


@TRANSFORMS.register_module()
class RandomPlaceCrop(BaseTransform):
    """Crop a square; a smaller image is first pasted at a random place of a canvas (AFA, ToCo).

    Masks and other maps named in ``seg_fields`` are cropped with it. Adds ``valid_box``: [y0, y1, x0, x1], the part of
    the crop that shows the image, ends exclusive.

    Args:
        crop_size: Side in pixels.
        pad_value: Value of the canvas, before normalisation, or its values by channel, in the image's order. With a
            value that is not whole, as the mean colour, the crop is float32.
        seg_pad_value: Value of the canvas of maps.
    """

    def __init__(self, crop_size: int, pad_value: Union[float, Sequence[float]] = 0,
                 seg_pad_value: float = 255) -> None:
        if crop_size < 1:
            raise ValueError(f'crop_size must be positive, got {crop_size}')
        self.crop_size = crop_size
        self.pad_value = pad_value
        self.seg_pad_value = seg_pad_value

    @cache_randomness
    def _place(self, side: int) -> tuple[int, int]:
        """Draw where an image side starts on its canvas, and where the crop starts."""
        canvas = max(self.crop_size, side)
        return np.random.randint(canvas - side + 1), np.random.randint(canvas - self.crop_size + 1)

    def transform(self, results: dict) -> dict:
        """Replace ``img`` by (crop_size, crop_size, 3), and maps alike; add ``valid_box``."""
        image, size = results['img'], self.crop_size
        box, source = [], []
        for side in image.shape[:2]:
            offset, start = self._place(side)
            low, high = max(offset - start, 0), min(offset - start + side, size)
            box += [low, high]
            source.append(slice(low - offset + start, high - offset + start))
        whole = np.equal(np.mod(self.pad_value, 1), 0).all()
        canvases = {'img': (self.pad_value, image.dtype if whole else np.float32)}
        canvases.update({name: (self.seg_pad_value, results[name].dtype) for name in results.get('seg_fields', ())})
        for name, (value, dtype) in canvases.items():
            crop = np.full((size, size, *results[name].shape[2:]), value, dtype=dtype)
            crop[box[0]:box[1], box[2]:box[3]] = results[name][tuple(source)]
            results[name] = crop
        results.update(img_shape=(size, size), valid_box=box)
        return results

    def __repr__(self) -> str:
        return (f'{self.__class__.__name__}(crop_size={self.crop_size}, pad_value={self.pad_value}, '
                f'seg_pad_value={self.seg_pad_value})')
