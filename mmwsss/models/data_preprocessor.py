"""Normalize batches with several views of each image."""

from typing import Any

import torch
from mmseg.models import SegDataPreProcessor
from torch import Tensor

from mmwsss.registry import MODELS

__all__ = ['MultiViewPreProcessor', 'denormalize', 'swaps_channels']


@MODELS.register_module()
class MultiViewPreProcessor(SegDataPreProcessor):
    """mmseg's preprocessor, which also accepts a dict of views for each sample.

    Plain inputs are handled as in mmseg. In a dict, the view ``main`` is handled as in mmseg, and data samples refer to
    it. Every other view is converted, normalized and stacked without padding.
    """

    def forward(self, data: dict, training: bool = False) -> dict[str, Any]:
        """Turn a collated batch into model input.

        Args:
            data: ``inputs``: list of (3, H, W) uint8 tensors, or view name -> such a list, with the key ``main``;
                ``data_samples``: list of samples.
            training: Whether this is for training.

        Returns:
            ``inputs``: (B, 3, H, W) float, or view name -> such a tensor; ``data_samples``.
        """
        if not isinstance(data['inputs'], dict):
            return super().forward(data, training)
        views = dict(data['inputs'])
        main = super().forward({**data, 'inputs': views.pop('main')}, training)
        inputs = {name: self._normalize(torch.stack(self.cast_data(view))) for name, view in views.items()}
        return dict(inputs={'main': main['inputs'], **inputs}, data_samples=main['data_samples'])

    def _normalize(self, images: Tensor) -> Tensor:
        if swaps_channels(self):
            images = images[:, [2, 1, 0]]
        return (images.float() - self.mean) / self.std if self._enable_normalize else images.float()

    def denormalize(self, images: Tensor) -> Tensor:
        """Undo the normalization of (B, 3, H, W); see :func:`denormalize`."""
        return denormalize(self, images)

    def color_range(self) -> tuple[Tensor, Tensor]:
        """Return black and white as the model sees them, each (3, 1, 1), or scalars where nothing is normalized."""
        edges = torch.tensor([0., 255.], device=self.device)
        return tuple((edge - self.mean) / self.std if self._enable_normalize else edge for edge in edges)


def swaps_channels(preprocessor: SegDataPreProcessor) -> bool:
    """Return whether BGR becomes RGB or the reverse; the attribute has no underscore in the original mmseg."""
    if hasattr(preprocessor, '_channel_conversion'):
        return preprocessor._channel_conversion
    return preprocessor.channel_conversion


def denormalize(preprocessor: SegDataPreProcessor, images: Tensor) -> Tensor:
    """Undo the normalization of mmseg's preprocessor.

    Args:
        preprocessor: Whose normalization it was.
        images: (B, 3, H, W) normalized.

    Returns:
        (B, 3, H, W) the images' own values, 0 to 255, in the model's channel order.
    """
    if not getattr(preprocessor, '_enable_normalize', False):
        return images
    return images * preprocessor.std + preprocessor.mean
