"""Class maps of the classes that an image shows, from CAM models and from segmentors."""

from typing import Any, Optional

import numpy as np
import torch
from torch import Tensor, nn

from .inference import cams_at_image_size

__all__ = ['MapSource']


class MapSource:
    """Gives maps in [0, 1] of an image's classes at the size of the image.

    Args:
        model (nn.Module): In eval mode: a CAM model, or an mmseg segmentor.
        num_classes (int): C, foreground classes of the data.
        source (str): ``'cams'``, or ``'segmentation'``: per class the softmax over this class and background.
    """

    def __init__(self, model: nn.Module, num_classes: int, source: str) -> None:
        self.model = model
        self.num_classes = num_classes
        self._maps = {'cams': self._cams, 'segmentation': self._segmentation}[source]
        self._checked = False

    @torch.no_grad()
    def __call__(self, data: dict, channels: np.ndarray, image_id: str = '') -> tuple[Tensor, Optional[Tensor], Any]:
        """Run the model on one image.

        Args:
            data (dict): A collated batch of one image.
            channels (np.ndarray): (P,) foreground channels that the image shows, increasing.
            image_id (str): Not used.

        Returns:
            tuple[Tensor, None, SegDataSample]: Maps (1, P, H, W), no background, and the image's data sample.

        Raises:
            ValueError: The model has another number of classes than the data.
        """
        data = self.model.data_preprocessor(data, False)
        inputs, sample = data['inputs'], data['data_samples'][0]
        if not len(channels):
            return inputs.new_zeros(1, 0, *sample.ori_shape[:2]), None, sample
        maps = self._maps(inputs, sample, torch.as_tensor(channels, device=inputs.device))
        return maps, None, sample

    def _cams(self, inputs: Tensor, sample: Any, channels: Tensor) -> Tensor:
        if not self._checked:
            self._check(self.model.extract_cams(inputs)['logits'].shape[1])
        cams = self.model.predict_cams(inputs, classes=channels)['cams']
        return cams_at_image_size(cams, sample.metainfo)

    def _segmentation(self, inputs: Tensor, sample: Any, channels: Tensor) -> Tensor:
        logits = self.model.predict(inputs, [sample])[0].seg_logits.data
        self._check(len(logits) - 1)
        # Softmax over a class and background is the sigmoid of their difference.
        return (logits[channels + 1] - logits[:1]).float().sigmoid()[None]

    def _check(self, found: int) -> None:
        if found != self.num_classes:
            raise ValueError(f'the model gives maps of {found} classes, the data set has {self.num_classes}')
        self._checked = True
