"""Resize images by a factor, as OpenCV does."""

import cv2
import numpy as np
import torch
from mmcv.image.geometric import cv2_interp_codes
from torch import Tensor

__all__ = ['resize_by_factor']


def resize_by_factor(images: Tensor, factor: float, interpolation: str = 'bicubic') -> Tensor:
    """Resize images with OpenCV's ``resize(fx=factor, fy=factor)``, which runs on the CPU.

    Sides are rounded to the nearest integer, a half to the even one, and neighboring pixels of the result are exactly
    ``1 / factor`` pixels of the image apart, whatever its size has been rounded to. When the image shrinks, there is no
    antialiasing.

    Args:
        images (Tensor): (B, C, H, W) floating point, with up to 4 channels.
        factor (float): Positive.
        interpolation (str): ``'nearest'``, ``'bilinear'``, ``'bicubic'``, ``'area'`` or ``'lanczos'``.

    Returns:
        Tensor: (B, C, H', W') on the device of ``images``; ``images`` itself where the factor is 1.

    Raises:
        ValueError: ``factor`` is not positive, or ``interpolation`` is unknown.
    """
    if not factor > 0:
        raise ValueError(f'factor must be positive, got {factor}')
    if interpolation not in cv2_interp_codes:
        raise ValueError(f'interpolation must be one of {sorted(cv2_interp_codes)}, got {interpolation!r}')
    if factor == 1:
        return images
    code = cv2_interp_codes[interpolation]
    planes = images.permute(0, 2, 3, 1).float().cpu().numpy()
    resized = [cv2.resize(np.ascontiguousarray(one), None, fx=factor, fy=factor, interpolation=code) for one in planes]
    return torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).contiguous().to(images)
