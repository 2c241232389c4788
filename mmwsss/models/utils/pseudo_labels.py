"""Pseudo labels from class activation maps that are refined along the image."""

from collections.abc import Callable
from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor

from .cam import IGNORE_INDEX, cams_to_labels, mask_outside_boxes

__all__ = ['direct_pseudo_labels', 'quantize_colors', 'refined_maps', 'refined_pseudo_labels']


def quantize_colors(images: Tensor) -> Tensor:
    """Round colors down to whole 8-bit levels and scale them to [0, 1], as a cast to uint8 does.

    Args:
        images (Tensor): Colors, 0 to 255. (..., H, W).

    Returns:
        Tensor: Same shape, multiples of 1/255 in [0, 1].
    """
    return images.clamp(0, 255).floor() / 255


@torch.no_grad()
def refined_pseudo_labels(refiner: Callable[[Tensor, Tensor], Tensor],
                          images: Tensor,
                          cams: Tensor,
                          image_labels: Tensor,
                          high: float,
                          low: float,
                          boxes: Optional[Tensor] = None,
                          downscale: int = 2) -> Tensor:
    """Turn class maps into labels of certain foreground, certain background and ignored pixels.

    Each of the two thresholds is used as the score of the background beside the maps of the
    present classes; their softmax is refined along the image at reduced size, enlarged and its largest class
    taken. A pixel is foreground if it is with the high threshold, background if it is with both, and ignored
    otherwise (ToCo, CVPR 2023, with AFA's refinement).

    Both thresholds of all images go through one call of the refiner, each image with background and its own
    classes, padded to the most classes of an image.

    Args:
        refiner (Callable): ``(images (B, 3, h, w), planes (B, M, h, w)) -> (B, M, h, w)``, for instance
            :class:`~mmwsss.models.PixelAdaptiveRefinement`.
        images (Tensor): Images in [0, 1]; see :func:`quantize_colors`. (B, 3, H, W).
        cams (Tensor): Class maps in [0, 1]; only those of present classes are used. (B, C, H, W).
        image_labels (Tensor): Multi-hot labels. (B, C).
        high (float): Background score that foreground must beat.
        low (float): Background score that leaves only certain background.
        boxes (Tensor, optional): Valid regions as [y0, y1, x0, x1] with exclusive ends, in pixels; outside is 255.
            (B, 4).
        downscale (int): Refinement works at the image's size divided by this. Defaults to 2.

    Returns:
        Tensor: 0, class index + 1, or 255. (B, H, W), long.

    Raises:
        ValueError: If ``high`` is below ``low``, ``downscale`` is not positive, or the shapes do not fit.
    """
    if high < low:
        raise ValueError(f'high ({high}) must not be below low ({low}).')
    if downscale < 1:
        raise ValueError(f'downscale must be 1 or more, got {downscale}.')
    if images.shape[-2:] != cams.shape[-2:] or cams.shape[:2] != image_labels.shape:
        raise ValueError(f'images {tuple(images.shape)}, cams {tuple(cams.shape)} and image_labels '
                         f'{tuple(image_labels.shape)} do not fit (B, 3, H, W), (B, C, H, W) and (B, C).')
    size = cams.shape[-2:]
    small = tuple(max(side // downscale, 1) for side in size)
    classes, present = _present_first(image_labels)
    chosen = cams.gather(1, classes[:, :, None, None].expand(-1, -1, *size))
    planes = _threshold_planes(_resize(chosen, small), present, (high, low))
    refined = refiner(_resize(images, small), planes.flatten(1, 2)).view_as(planes)
    at_high, at_low = _largest_class(refined, classes, present, size)
    labels = at_high.masked_fill(at_high == 0, IGNORE_INDEX).masked_fill((at_high == 0) & (at_low == 0), 0)
    return labels if boxes is None else mask_outside_boxes(labels, boxes)


@torch.no_grad()
def direct_pseudo_labels(refiner: Callable[[Tensor, Tensor], Tensor],
                         images: Tensor,
                         cams: Tensor,
                         image_labels: Tensor,
                         high: float,
                         low: float,
                         boxes: Optional[Tensor] = None,
                         downscale: int = 2) -> Tensor:
    """Refine class maps along the image and threshold them (AReAM, arXiv 2305.03112, Eq. 16); see :func:`refined_maps`.

    Args:
        refiner, images, cams, image_labels, high, low, boxes, downscale: See :func:`refined_pseudo_labels`.

    Returns:
        Tensor: 0 up to ``low``, class index + 1 above ``high``, and 255 between. (B, H, W), long.

    Raises:
        ValueError: If ``high`` is below ``low``.
    """
    return cams_to_labels(refined_maps(refiner, images, cams, downscale), image_labels, low, high, boxes)


@torch.no_grad()
def refined_maps(refiner: Callable[[Tensor, Tensor], Tensor], images: Tensor, cams: Tensor,
                 downscale: int = 2) -> Tensor:
    """Refine class maps along the image, at reduced size.

    They are divided by the refined plane of ones, so that thresholds keep their meaning.

    Args:
        refiner, images, downscale: See :func:`refined_pseudo_labels`.
        cams (Tensor): (B, C, H, W).

    Returns:
        Tensor: (B, C, H, W).
    """
    size = cams.shape[-2:]
    small = tuple(max(side // downscale, 1) for side in size)
    planes = _resize(cams, small)
    refined = refiner(_resize(images, small), torch.cat([planes, torch.ones_like(planes[:, :1])], dim=1))
    return _resize(refined[:, :-1] / refined[:, -1:], size)


def _resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(maps, size, mode='bilinear', align_corners=False)


def _present_first(image_labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the present classes of each image in ascending order, and which entries are real, both (B, M)."""
    present = image_labels > 0
    order = torch.argsort(present.to(torch.uint8), dim=1, descending=True, stable=True)
    most = max(int(present.sum(1).max()), 1)
    return order[:, :most], present.gather(1, order[:, :most])


def _threshold_planes(maps: Tensor, present: Tensor, thresholds: tuple[float, ...]) -> Tensor:
    """Return the softmax of [threshold, maps] (B, T, 1 + M, h, w), which is 0 for absent classes."""
    maps = maps.masked_fill(~present[:, :, None, None], float('-inf'))
    background = torch.ones_like(maps[:, :1])
    stacks = [torch.cat([background * threshold, maps], dim=1).softmax(dim=1) for threshold in thresholds]
    return torch.stack(stacks, dim=1)


def _largest_class(refined: Tensor, classes: Tensor, present: Tensor, size: tuple[int, int]) -> tuple[Tensor, ...]:
    """Enlarge planes (B, T, 1 + M, h, w) and return the labels (B, H, W) of the largest for each threshold."""
    labels = F.pad(classes + 1, (1, 0))
    absent = F.pad(~present, (1, 0))[:, :, None, None]
    results = []
    for planes in refined.unbind(1):
        winner = _resize(planes, size).masked_fill(absent, -1).argmax(dim=1)
        results.append(labels.gather(1, winner.flatten(1)).view_as(winner))
    return tuple(results)
