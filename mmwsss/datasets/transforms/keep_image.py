"""Keep the decoded image for steps that follow the network."""

import numpy as np
from mmcv.transforms import BaseTransform

from mmwsss.registry import TRANSFORMS

__all__ = ['KeepImage']


@TRANSFORMS.register_module()
class KeepImage(BaseTransform):
    """Keep the image as it was decoded, before it is resized or normalized.

    It follows ``LoadImageFromFile`` directly. ``PackWSSSInputs`` puts the image into the sample's meta information
    as ``image``, where steps such as the dense CRF find it without reading the file again. With mmseg's
    ``PackSegInputs``, add ``'image'`` to its ``meta_keys``.

    Required keys: ``img`` ((H, W, 3) BGR). Added keys: ``image`` ((H, W, 3) RGB, uint8).
    """

    def transform(self, results: dict) -> dict:
        """Add a copy of ``img`` with the channels in the order RGB."""
        image = results['img']
        if image.ndim == 2:
            image = np.repeat(image[..., None], 3, axis=2)
        results['image'] = np.ascontiguousarray(image[..., 2::-1]).astype(np.uint8, copy=False)
        return results
