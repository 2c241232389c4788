"""The views of an image that ToCo trains on."""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform, Compose
from mmcv.transforms.utils import cache_randomness

from mmwsss.registry import TRANSFORMS

__all__ = ['ToCoViews']

Pipeline = Sequence[dict]


@TRANSFORMS.register_module()
class ToCoViews(BaseTransform):
    """Make the main image, a second global view and the source of local views (ToCo, CVPR 2023, Sec. 5.1).

    The main image and the local source come from one crop of the image (``base``), are mirrored with probability 0.5
    each and then changed in colour on their own; the second global view comes from the original image. As published,
    the mirroring of the main image does not mirror its valid region, and the local source is mirrored independently
    of the main image, whose class maps decide where local views are cut: half of them are cut from mirrored places.

    Args:
        base: Transforms from the original image to the crop; must give ``valid_box``.
        main: Transforms of the main image after mirroring.
        local: Transforms of the local source after mirroring.
        global2: Transforms of the second global view, from the original image.
        flip_box: Mirror the valid region with the main image (False as published).
        register_local_view: Mirror the local source exactly when the main image is (False as published).
    """

    def __init__(self,
                 base: Pipeline,
                 main: Pipeline,
                 local: Pipeline,
                 global2: Pipeline,
                 flip_box: bool = False,
                 register_local_view: bool = False) -> None:
        self.base = Compose(base)
        self.main = Compose(main)
        self.local = Compose(local)
        self.global2 = Compose(global2)
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
