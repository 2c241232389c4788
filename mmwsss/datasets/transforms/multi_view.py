"""The views of an image that ToCo trains on."""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform, Compose
from mmcv.transforms.utils import cache_randomness

from mmwsss.registry import TRANSFORMS

from .geometry import RandomPlaceCrop, RandomScale

__all__ = ['ToCoViews']

Pipeline = Sequence[dict]


@TRANSFORMS.register_module()
class ToCoViews(BaseTransform):
    """Make the main image, a second global view and the source of local views (ToCo, CVPR 2023, Sec. 5.1).

    The main image and the local source come from one crop: the image is scaled by a random factor, mirrored with
    probability 0.5 and cropped (:class:`RandomPlaceCrop`). Each of the two is then mirrored with probability 0.5 and
    changed in colour on its own. The second global view is a random resized crop of the original image. As published,
    the mirroring of the main image does not mirror its valid region, and the local source is mirrored independently
    of the main image, whose class maps decide where local views are cut: half of them are cut from mirrored places.

    Args:
        crop_size: Side of all three views in pixels.
        main: Transforms of the main image's colours.
        local: Transforms of the local source's colours.
        global2: Transforms of the second global view's colours.
        scale_range: Limits of the random factor.
        area_range: Share of the original image's area that the second global view shows.
        flip_box: Mirror the valid region with the main image (False as published).
        register_local_view: Mirror the local source exactly when the main image is (False as published).
    """

    def __init__(self,
                 crop_size: int,
                 main: Pipeline = (),
                 local: Pipeline = (),
                 global2: Pipeline = (),
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
    image = np.ascontiguousarray(image[:, ::-1]) if mirrored else image.copy()
    return dict(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])
