"""Random scales, crops and views of training images."""

from collections.abc import Sequence
from typing import Any, Optional, Union

import cv2
import mmcv
import numpy as np
from mmcv.image.geometric import cv2_interp_codes
from mmcv.transforms import BaseTransform, Compose
from mmcv.transforms.utils import cache_randomness

from mmwsss.registry import TRANSFORMS

from ..sampling import derive_seed

__all__ = ['RandomPlaceCrop', 'RandomScale', 'ToCoViews']


@TRANSFORMS.register_module()
class RandomScale(BaseTransform):
    """Resize an image by a random factor that is the same for both sides, and its masks by nearest neighbor.

    Args:
        ratio_range: Limits of the uniform draw.
        interpolation: ``'bilinear'``, ``'bicubic'`` or ``'lanczos'``.
        backend: ``'pillow'``, with antialiasing when the image shrinks, or ``'cv2'``, without.
        ratios: Factors to choose from, each equally likely, in place of ``ratio_range``.
        seg_backend: Backend of the masks, ``backend`` unless given. The nearest pixels of the two differ: from 8 pixels
            to 4, Pillow takes the pixels 1, 3, 5 and 7, OpenCV 0, 2, 4 and 6.
        by_factor: Let OpenCV compute the size from the factor, for images and masks: sides are rounded to the nearest
            integer, a half to the even one, and neighboring pixels of the result are exactly ``1 / ratio`` apart.
            Otherwise sides are rounded down, and the distance follows from the two sizes.
        group_size: Number of consecutive samples of the stream that share a factor. With the batch size of all
            processes together, this is one factor for a batch, whatever the number of processes. Samples whose
            position in the stream is unknown (see :class:`~mmwsss.datasets.SegDatasetWrapper`) have a factor each.

    Raises:
        ValueError: A factor is not positive, ``by_factor`` is used without OpenCV, or ``group_size`` is below 1.
    """

    def __init__(self,
                 ratio_range: tuple[float, float] = (0.5, 2.0),
                 interpolation: str = 'bilinear',
                 backend: str = 'pillow',
                 ratios: Optional[Sequence[float]] = None,
                 seg_backend: Optional[str] = None,
                 by_factor: bool = False,
                 group_size: int = 1) -> None:
        if not 0 < ratio_range[0] <= ratio_range[1]:
            raise ValueError(f'ratio_range must be (low, high) with 0 < low <= high, got {ratio_range}')
        if ratios is not None and not (len(ratios) and min(ratios) > 0):
            raise ValueError(f'ratios must be one or more positive numbers, got {ratios}')
        if by_factor and {backend, seg_backend or backend} != {'cv2'}:
            raise ValueError(f"by_factor needs the backend 'cv2', got backend={backend!r} and "
                             f'seg_backend={seg_backend!r}')
        if group_size < 1:
            raise ValueError(f'group_size must be 1 or more, got {group_size}')
        self.ratio_range = ratio_range
        self.interpolation = interpolation
        self.backend = backend
        self.ratios = ratios
        self.seg_backend = seg_backend or backend
        self.by_factor = by_factor
        self.group_size = group_size

    @cache_randomness
    def _ratio(self) -> float:
        return self._drawn(np.random)

    def _drawn(self, generator: Any) -> float:
        return generator.uniform(*self.ratio_range) if self.ratios is None else float(generator.choice(self.ratios))

    def _ratio_of(self, results: dict) -> float:
        """Return the factor of a sample, which its group determines if it has one."""
        if self.group_size == 1 or 'draw' not in results:
            return self._ratio()
        group = results['draw'] // self.group_size
        return self._drawn(np.random.default_rng(derive_seed(results['stream_seed'], group, self.group_size)))

    def _resized(self, image: np.ndarray, ratio: float, interpolation: str, backend: str) -> np.ndarray:
        if self.by_factor:
            return cv2.resize(image, None, fx=ratio, fy=ratio, interpolation=cv2_interp_codes[interpolation])
        height, width = image.shape[:2]
        size = (max(int(ratio * width), 1), max(int(ratio * height), 1))
        return mmcv.imresize(image, size, interpolation=interpolation, backend=backend)

    def transform(self, results: dict) -> dict:
        """Replace ``img`` (H, W, 3), ``img_shape`` and what ``seg_fields`` names."""
        ratio = self._ratio_of(results)
        results['img'] = self._resized(results['img'], ratio, self.interpolation, self.backend)
        for name in results.get('seg_fields', ()):
            results[name] = self._resized(results[name], ratio, 'nearest', self.seg_backend)
        results['img_shape'] = results['img'].shape[:2]
        return results

    def __repr__(self) -> str:
        return (f'{self.__class__.__name__}(ratio_range={self.ratio_range}, interpolation={self.interpolation!r}, '
                f'backend={self.backend!r}, ratios={self.ratios}, seg_backend={self.seg_backend!r}, '
                f'by_factor={self.by_factor}, group_size={self.group_size})')


@TRANSFORMS.register_module()
class RandomPlaceCrop(BaseTransform):
    """Crop a square; a smaller image is first pasted on a canvas, at a random position unless told otherwise.

    Masks and other maps named in ``seg_fields`` are cropped with it. Adds ``valid_box``: [y0, y1, x0, x1], the part of
    the crop that shows the image, ends exclusive.

    Args:
        crop_size: Side in pixels.
        pad_value: Value of the canvas, before normalization, or its values by channel, in the image's order. If a
            value is not an integer, such as that of the mean color, the crop is float32.
        seg_pad_value: Value of the canvas of maps.
        placement: Where a smaller image lies on its canvas: ``'random'`` (AFA, ToCo, PSA, TransCAM) or ``'top-left'``
            (the DeepLab of MCTformer, DeepLab-V2).
        reach_end: Whether the last position, at the right and bottom edge of the image, can be drawn. MCTformer's
            DeepLab truncates a product of the margin and a number below 1, which never gives it.

    Raises:
        ValueError: ``crop_size`` is not positive, or ``placement`` is unknown.
    """

    def __init__(self,
                 crop_size: int,
                 pad_value: Union[float, Sequence[float]] = 0,
                 seg_pad_value: float = 255,
                 placement: str = 'random',
                 reach_end: bool = True) -> None:
        if crop_size < 1:
            raise ValueError(f'crop_size must be positive, got {crop_size}')
        if placement not in ('random', 'top-left'):
            raise ValueError(f"placement must be 'random' or 'top-left', got {placement!r}")
        self.crop_size = crop_size
        self.pad_value = pad_value
        self.seg_pad_value = seg_pad_value
        self.placement = placement
        self.reach_end = reach_end

    @cache_randomness
    def _place(self, side: int) -> tuple[int, int]:
        """Draw where an image side starts on its canvas, and where the crop starts."""
        canvas = max(self.crop_size, side)
        offset = np.random.randint(canvas - side + 1) if self.placement == 'random' else 0
        margin = canvas - self.crop_size
        return offset, np.random.randint(margin + 1 if self.reach_end else max(margin, 1))

    def transform(self, results: dict) -> dict:
        """Replace ``img`` by (crop_size, crop_size, 3), and maps in the same way; add ``valid_box``."""
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
            crop = np.empty((size, size, *results[name].shape[2:]), dtype)
            crop[0] = value
            crop[1:] = crop[0]  # rows are copied several times as fast as values are repeated
            crop[box[0]:box[1], box[2]:box[3]] = results[name][tuple(source)]
            results[name] = crop
        results.update(img_shape=(size, size), valid_box=box)
        return results

    def __repr__(self) -> str:
        return (f'{self.__class__.__name__}(crop_size={self.crop_size}, pad_value={self.pad_value}, '
                f'seg_pad_value={self.seg_pad_value}, placement={self.placement!r}, reach_end={self.reach_end})')


@TRANSFORMS.register_module()
class ToCoViews(BaseTransform):
    """Make the main image, a second global view and the source of local views (ToCo, CVPR 2023, Sec. 5.1).

    The main image and the local source come from one crop: the image is scaled by a random factor, mirrored with
    probability 0.5 and cropped (:class:`RandomPlaceCrop`). Each of the two is then mirrored with probability 0.5 and
    changed in color on its own. The second global view is a random resized crop of the original image. As published,
    the mirroring of the main image does not mirror its valid region, and the local source is mirrored independently
    of the main image, whose class maps decide where local views are cut: half of them are cut at mirrored positions.

    Args:
        crop_size: Side of all three views in pixels.
        main: Transforms of the main image's colors.
        local: Transforms of the local source's colors.
        global2: Transforms of the second global view's colors.
        scale_range: Limits of the random factor.
        area_range: Share of the original image's area that the second global view shows.
        flip_box: Mirror the valid region with the main image (False as published).
        register_local_view: Mirror the local source exactly when the main image is (False as published).
    """

    def __init__(self,
                 crop_size: int,
                 main: Sequence[dict] = (),
                 local: Sequence[dict] = (),
                 global2: Sequence[dict] = (),
                 scale_range: tuple[float, float] = (0.5, 2.0),
                 area_range: tuple[float, float] = (0.4, 1.0),
                 flip_box: bool = False,
                 register_local_view: bool = False) -> None:
        self.base = Compose([
            RandomScale(scale_range),
            dict(type='RandomFlip', prob=0.5),
            RandomPlaceCrop(crop_size)
        ])
        self.main = Compose(main)
        self.local = Compose(local)
        self.global2 = Compose([
            dict(
                type='mmpretrain.RandomResizedCrop',
                scale=crop_size,
                crop_ratio_range=area_range,
                interpolation='bicubic',
                backend='pillow'),
            dict(type='RandomFlip', prob=0.5), *global2
        ])
        self.flip_box = flip_box
        self.register_local_view = register_local_view

    @cache_randomness
    def _mirrored(self) -> bool:
        return bool(np.random.rand() < 0.5)

    def transform(self, results: dict) -> dict:
        """Replace ``img`` by the main image; add ``views`` (global2, local: HWC uint8) and ``valid_box``."""
        base = self.base(_image_of(results['img']))
        crop, box = base['img'], list(base['valid_box'])
        mirror_main = self._mirrored()
        mirror_local = mirror_main if self.register_local_view else self._mirrored()
        if mirror_main and self.flip_box:
            box[2:] = crop.shape[1] - box[3], crop.shape[1] - box[2]
        main = self.main(_image_of(crop, mirror_main))['img']
        views = dict(
            global2=self.global2(_image_of(results['img']))['img'],
            local=self.local(_image_of(crop, mirror_local))['img'])
        results.update(img=main, img_shape=main.shape[:2], views=views, valid_box=box)
        return results

    def __repr__(self) -> str:
        return (f'{self.__class__.__name__}(base={self.base}, main={self.main}, local={self.local}, '
                f'global2={self.global2}, flip_box={self.flip_box}, '
                f'register_local_view={self.register_local_view})')


def _image_of(image: np.ndarray, mirrored: bool = False) -> dict:
    """Start a results dict from a copy of an image (H, W, 3), mirrored if asked."""
    image = cv2.flip(image, 1) if mirrored else image.copy()
    return dict(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])
