"""The batch that passes through the label steps."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

import torch
from torch import Tensor

__all__ = ['LabelBatch']


@dataclass
class LabelBatch:
    """Class scores of a batch of images on their way to pseudo labels.

    Steps do not change a batch; they return another one, made with :func:`dataclasses.replace`.

    Attributes:
        images (Tensor): (B, 3, H, W) RGB, uint8, or floating point in [0, 1]. The labels get this size.
        scores (Tensor): (B, T, 1 + P, h, w) floating point: background, then one plane for each class of the image. T
            is 1 unless there are several background levels. ``h`` and ``w`` may be smaller than the images.
        classes (Tensor): (B, P) long, the foreground class (0 to C - 1) of each plane after the background.
        present (Tensor): (B, P) bool, False where a plane only fills up an image that shows fewer classes than others.
        num_classes (int): C, foreground classes of the data.
        has_background (bool): Whether a step has filled the background plane, which is 0 before.
        boxes (Tensor, optional): (B, 4) regions that show the image and not padding, as [y0, y1, x0, x1] in pixels with
            exclusive ends. Outside, labels are 255.
        image_ids (Sequence[str]): Ids of the images, for messages.
        inputs (Tensor, optional): (B, 3, h, w), the images as the network of the run sees them.
        affinity (Tensor, optional): (B, N, N) affinity of the ``N = h * w`` positions of the scores.
        thresholds (Tensor, optional): (B, T) background scores of each image, which :class:`ImageBackground` sets.
        cache (dict): Results that steps share with other steps of the same images.
    """

    images: Tensor
    scores: Tensor
    classes: Tensor
    present: Tensor
    num_classes: int
    has_background: bool = False
    boxes: Optional[Tensor] = None
    image_ids: Sequence[str] = ()
    inputs: Optional[Tensor] = None
    affinity: Optional[Tensor] = None
    thresholds: Optional[Tensor] = None
    cache: dict = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_maps(cls, images: Tensor, maps: Tensor, classes: Tensor, num_classes: int, **others: Any) -> 'LabelBatch':
        """Build a batch from the maps of images that all show the same number of classes.

        Args:
            images (Tensor): (B, 3, H, W); see the class.
            maps (Tensor): (B, P, h, w) CAMs.
            classes (Tensor): (B, P) or (P,), the foreground class of each map.
            num_classes (int): C, foreground classes of the data.
            **others: Further attributes of the class.

        Returns:
            LabelBatch: With a background plane of zeros.
        """
        classes = classes.to(maps.device, torch.long).expand(maps.shape[:2])
        return cls(images, _with_background(maps), classes, torch.ones_like(classes, dtype=torch.bool), num_classes,
                   **others)

    @classmethod
    def from_cams(cls,
                  images: Tensor,
                  cams: Tensor,
                  image_labels: Tensor,
                  boxes: Optional[Tensor] = None,
                  class_ids: Optional[Tensor] = None,
                  **others: Any) -> 'LabelBatch':
        """Build a batch from the maps of all classes and image labels, without the planes of absent classes.

        Args:
            images (Tensor): (B, 3, H, W); see the class.
            cams (Tensor): (B, C, h, w) CAMs in [0, 1].
            image_labels (Tensor): (B, C) multi-hot.
            boxes (Tensor, optional): (B, 4); see the class.
            class_ids (Tensor, optional): (C,) increasing, the foreground class of each map, where ``cams`` holds only
                the classes that occur in the batch. By default 0 to C - 1.
            **others: Further attributes of the class.

        Returns:
            LabelBatch: With as many planes as the image with the most classes needs, at least one, and a background
            plane of zeros.

        Raises:
            ValueError: The shapes do not fit.
        """
        if cams.shape[:2] != image_labels.shape or len(images) != len(cams):
            raise ValueError(f'images {tuple(images.shape)}, cams {tuple(cams.shape)} and image_labels '
                             f'{tuple(image_labels.shape)} do not fit (B, 3, H, W), (B, C, h, w) and (B, C)')
        shown = image_labels > 0
        order = torch.argsort(shown.to(torch.uint8), dim=1, descending=True, stable=True)
        order = order[:, :max(int(shown.sum(1).max()), 1)]
        maps = cams.gather(1, order[:, :, None, None].expand(-1, -1, *cams.shape[-2:]))
        classes = order if class_ids is None else class_ids.to(order)[order]
        others.setdefault('num_classes', cams.shape[1] if class_ids is None else int(class_ids.max()) + 1)
        return cls(images, _with_background(maps), classes, shown.gather(1, order), boxes=boxes, **others)

    @classmethod
    def from_probabilities(cls, image: Tensor, probs: Tensor, image_id: str = '') -> 'LabelBatch':
        """Build a batch of one image from the probabilities of a segmentor; all classes are present.

        Args:
            image (Tensor): (3, H, W); see the class.
            probs (Tensor): (K, h, w) probabilities, background first.
            image_id (str): Id of the image, for messages.
        """
        classes = torch.arange(len(probs) - 1, device=probs.device)[None]
        return cls(image[None], probs[None, None], classes, torch.ones_like(classes, dtype=torch.bool), len(probs) - 1,
                   has_background=True, image_ids=(image_id, ))

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the images and of the labels."""
        height, width = self.images.shape[-2:]
        return height, width

    @property
    def values(self) -> Tensor:
        """(B, 1 + P) long, the label value of each plane: 0, then class + 1."""
        return torch.nn.functional.pad(self.classes + 1, (1, 0))

    @property
    def filled(self) -> Tensor:
        """(B, 1 + P) bool, which planes are real; the background always is."""
        return torch.nn.functional.pad(self.present, (1, 0), value=True)

    def to(self, device: Any) -> 'LabelBatch':
        """Return the batch with all tensors on a device."""
        state = {name: value.to(device) if isinstance(value, Tensor) else value for name, value in vars(self).items()}
        return LabelBatch(**{**state, 'cache': {}})

    def __getstate__(self) -> dict:
        """Return plain arrays: torch would send tensors through shared memory, which is scarce in containers."""
        state = {name: value.cpu().numpy() if isinstance(value, Tensor) else value
                 for name, value in vars(self).items()}
        return {**state, 'cache': {}}

    def __setstate__(self, state: dict) -> None:
        """Convert arrays back to tensors."""
        tensors = ('images', 'scores', 'classes', 'present', 'boxes', 'inputs', 'affinity', 'thresholds')
        self.__dict__.update({name: torch.from_numpy(value) if name in tensors and value is not None else value
                              for name, value in state.items()})


def _with_background(maps: Tensor) -> Tensor:
    """Add a plane of zeros before maps (B, P, h, w); return (B, 1, 1 + P, h, w)."""
    background = maps.new_zeros(len(maps), 1, *maps.shape[-2:])
    return torch.cat([background, maps], dim=1)[:, None]
