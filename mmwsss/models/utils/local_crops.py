"""Local views of ToCo's class token contrast (CVPR 2023, Sec. 4.3 and Fig. 4)."""

from collections.abc import Sequence
from typing import Optional

import torch
from torch import Tensor

__all__ = ['crop_windows', 'sample_local_windows']


def sample_local_windows(roi: Tensor,
                         crop_size: int,
                         num_crops: int,
                         min_foreground: float = 0.2,
                         seeds: Optional[Sequence[Optional[int]]] = None) -> tuple[Tensor, Tensor]:
    """Choose windows around pixels that are not certainly foreground.

    Centers are drawn without repetition from the pixels of background or uncertain score at least half a window from
    the border; if there are fewer of them than windows, from all such inner pixels.

    Args:
        roi: (B, H, W) of 0 background, 1 uncertain, 2 certain (see :func:`cams_to_roi`).
        crop_size: Side of a window in pixels.
        num_crops: Windows an image.
        min_foreground: A window shows the object if the mean of ``roi`` in it exceeds this.
        seeds: A seed an image, or None for the global generator.

    Returns:
        Top-left corners (B, num_crops, 2) as (y, x), and whether each window shows the object (B, num_crops) bool.

    Raises:
        ValueError: If a window does not fit, or the image has fewer inner pixels than windows.
    """
    height, width = roi.shape[1:]
    # Centers lie in [half, side - half), so that corners lie in [0, side - crop_size).
    rows, cols = max(height - crop_size, 1), max(width - crop_size, 1)
    if crop_size > min(height, width) or rows * cols < num_crops:
        raise ValueError(f'{num_crops} windows of side {crop_size} do not fit into {height}x{width} pixels')
    half = crop_size // 2
    candidates = (roi[:, half:half + rows, half:half + cols] <= 1).flatten(1)
    candidates = candidates | (candidates.sum(dim=1, keepdim=True) < num_crops)
    keys = torch.stack([_random_keys(candidates[i], seeds[i] if seeds else None) for i in range(len(roi))])
    # Candidates carry positive random keys, the others 0: the largest keys are a draw without repetition.
    picked = keys.topk(num_crops, dim=1).indices
    corners = torch.stack([picked // cols, picked % cols], dim=2)
    shares = crop_windows(roi[:, None].float(), corners, crop_size).mean(dim=(2, 3, 4))
    return corners, shares > min_foreground


def _random_keys(candidates: Tensor, seed: Optional[int]) -> Tensor:
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    keys = 1 - torch.rand(len(candidates), generator=generator, dtype=torch.float64)
    return keys.to(candidates.device) * candidates


def crop_windows(images: Tensor, corners: Tensor, crop_size: int) -> Tensor:
    """Cut square windows.

    Args:
        images: (B, C, H, W).
        corners: (B, V, 2) top-left (y, x).
        crop_size: Side in pixels.

    Returns:
        (B, V, C, crop_size, crop_size).
    """
    offsets = torch.arange(crop_size, device=images.device)
    rows = (corners[..., 0, None] + offsets)[:, :, None, :, None]
    cols = (corners[..., 1, None] + offsets)[:, :, None, None, :]
    batch = torch.arange(len(images), device=images.device)[:, None, None, None, None]
    channels = torch.arange(images.shape[1], device=images.device)[None, None, :, None, None]
    return images[batch, channels, rows, cols]
