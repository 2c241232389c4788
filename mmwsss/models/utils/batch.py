"""Classes and valid regions of the images in a batch."""

import torch
from mmseg.utils import SampleList
from torch import Tensor

__all__ = ['present_classes', 'valid_boxes']


def present_classes(image_labels: Tensor) -> Tensor:
    """Return the indices of classes that occur in a batch (B, C); at least one, so that maps have a channel."""
    present = image_labels.any(dim=0).nonzero().flatten()
    return present if len(present) else present.new_zeros(1)


def valid_boxes(data_samples: SampleList, images: Tensor) -> Tensor:
    """Return the regions (B, 4) that show the image and not padding, [y0, y1, x0, x1] with exclusive ends.

    Args:
        data_samples: ``valid_box`` in their metainfo names the region; without it, it is all of the image.
        images: (B, 3, H, W).
    """
    height, width = images.shape[-2:]
    boxes = [sample.metainfo.get('valid_box', (0, height, 0, width)) for sample in data_samples]
    return torch.as_tensor([[int(side) for side in box] for box in boxes], device=images.device)
