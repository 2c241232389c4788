"""Arithmetic of class activation maps as pure functions of tensors; nothing here has state or parameters."""

from typing import Optional, Union

import torch
from torch import Tensor

__all__ = ['IGNORE_INDEX', 'cams_to_labels', 'cams_to_roi', 'global_weighted_rank_pool', 'mask_outside_boxes',
           'normalize_cams', 'quantize_colors']

IGNORE_INDEX = 255


def normalize_cams(cams: Tensor, mode: str = 'max', eps: float = 1e-5) -> Tensor:
    """Scale every map to [0, 1] over its own pixels.

    Args:
        cams: (..., H, W) CAMs of any sign; negative values are activations of no class and become 0 with
            ``'max'``, while ``'minmax'`` first shifts each map to a minimum of 0.
        mode: ``'max'``: relu(M) / (max relu(M) + eps) (ToCo, CVPR 2023, Eq. 1);
            ``'minmax'``: (M - min M) / (max(M - min M) + eps);
            ``'relu_minmax'``: the same of relu(M), as AReAM's code on Conformer normalizes signed maps;
            ``'shifted_minmax'``: with R = relu(M), its values below min R + eps replaced by 0,
            (R - min R - eps) / (max R - min R + eps), as TransCAM's published numbers come from. Values are not
            clamped: 0 becomes -eps / (max R - min R + eps) or, where the map is positive everywhere, its least values
            become clearly negative.
        eps: Added to the divisor, so that a constant map gives zeros.

    Returns:
        (..., H, W) in [0, 1), but for ``'shifted_minmax'``.

    Raises:
        ValueError: If ``mode`` is none of these.
    """
    if mode == 'shifted_minmax':
        cams = cams.relu()
        low, high = (edge(dim=(-2, -1), keepdim=True) for edge in (cams.amin, cams.amax))
        return (cams.where(cams >= low + eps, 0) - low - eps) / (high - low + eps)
    if mode in ('max', 'relu_minmax'):
        cams = cams.relu()
    if mode in ('minmax', 'relu_minmax'):
        cams = cams - cams.amin(dim=(-2, -1), keepdim=True)
    elif mode != 'max':
        raise ValueError(f"mode must be 'max', 'minmax', 'relu_minmax' or 'shifted_minmax', got {mode!r}")
    return cams / (cams.amax(dim=(-2, -1), keepdim=True) + eps)


def cams_to_labels(cams: Tensor,
                   image_labels: Tensor,
                   low: float,
                   high: Union[float, Tensor, None] = None,
                   boxes: Optional[Tensor] = None) -> Tensor:
    """Threshold normalized maps into labels of background, foreground and, between two thresholds, ignored.

    A score equal to a threshold belongs to the lower side.

    Args:
        cams: (B, C, H, W) in [0, 1].
        image_labels: (B, C) multi-hot; maps of absent classes are not used.
        low: Scores up to this are background (0).
        high: If given, scores above ``low`` and up to this are 255; else everything above ``low`` is foreground. A
            tensor (B,) has a threshold for each image.
        boxes: (B, 4) valid regions as [y0, y1, x0, x1] with exclusive ends in pixels of ``cams``; outside is 255.

    Returns:
        (B, H, W) long: 0, class index + 1, or 255.

    Raises:
        ValueError: If ``high`` is below ``low``.
    """
    if high is not None and not isinstance(high, Tensor) and high < low:
        raise ValueError(f'high ({high}) must not be below low ({low})')
    scores, classes = (cams * image_labels[:, :, None, None].to(cams)).max(dim=1)
    labels = classes + 1
    if high is not None:
        limits = high[:, None, None] if isinstance(high, Tensor) else high
        labels.masked_fill_(scores <= limits, IGNORE_INDEX)
    labels.masked_fill_(scores <= low, 0)
    return labels if boxes is None else mask_outside_boxes(labels, boxes)


def mask_outside_boxes(labels: Tensor, boxes: Tensor, value: int = IGNORE_INDEX) -> Tensor:
    """Set labels (B, H, W) outside the boxes (B, 4), [y0, y1, x0, x1] with exclusive ends, to ``value``."""
    rows = torch.arange(labels.shape[1], device=labels.device)[None, :, None]
    cols = torch.arange(labels.shape[2], device=labels.device)[None, None, :]
    y0, y1, x0, x1 = boxes.to(labels.device).T[:, :, None, None]
    inside = (rows >= y0) & (rows < y1) & (cols >= x0) & (cols < x1)
    return labels.masked_fill(~inside, value)


def cams_to_roi(cams: Tensor, image_labels: Tensor, low: float, high: float) -> Tensor:
    """Sort pixels into background, uncertain and certain foreground (ToCo, CVPR 2023, Sec. 4.3).

    Args:
        cams: (B, C, H, W) in [0, 1].
        image_labels: (B, C) multi-hot.
        low: Scores up to this are background.
        high: Scores from this on are certain. Note that here, unlike in :func:`cams_to_labels`, equality is certain.

    Returns:
        (B, H, W) uint8: 0 background, 1 uncertain, 2 certain.
    """
    scores = (cams * image_labels[:, :, None, None].to(cams)).amax(dim=1)
    return (scores > low).to(torch.uint8) + ((scores >= high) & (scores > low)).to(torch.uint8)


def quantize_colors(images: Tensor) -> Tensor:
    """Round colors down to whole 8-bit levels and scale them to [0, 1], as a cast to uint8 does.

    Args:
        images (Tensor): Colors, 0 to 255. (..., H, W).

    Returns:
        Tensor: Same shape, multiples of 1/255 in [0, 1].
    """
    return images.clamp(0, 255).floor() / 255


def global_weighted_rank_pool(maps: Tensor, decay: float = 0.996) -> Tensor:
    """Average maps with weights that fall from the largest value to the smallest.

    Args:
        maps: (B, C, h, w), scores of any sign.
        decay: Weight of a value relative to that of the next larger one (SEC, ECCV 2016, Eq. 2).

    Returns:
        (B, C).
    """
    ranked = maps.flatten(2).sort(dim=2, descending=True).values
    weights = decay ** torch.arange(ranked.shape[2], device=maps.device)
    return (ranked * weights).sum(dim=2) / weights.sum()
