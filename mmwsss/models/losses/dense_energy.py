"""Gated dense-CRF energy of a segmentation: similar pixels should agree."""

from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmwsss.registry import MODELS

from ..utils import IGNORE_INDEX, PermutohedralLattice

__all__ = ['DenseEnergyLoss']

_PAIRS_AT_ONCE = 2**24


@MODELS.register_module()
class DenseEnergyLoss(nn.Module):
    r"""Dense-CRF regularization of segmentation probabilities (rloss, ECCV 2018; as gated in AFA and ToCo, CVPR 2023).

    With the probabilities inside the valid region :math:`S'`, the Gaussian kernel
    :math:`W_{ij} = \exp(-|p_i - p_j|^2 / 2 \sigma_{xy}^2 - |I_i - I_j|^2 / 2 \sigma_{rgb}^2)` over position and
    color (including j = i) and the gate :math:`G`, the energy of a batch of B images is

    .. math:: E = -\frac 1 B \sum_i S'_i \cdot G_i (W S')_i

    :math:`G` is 1 on unlabeled pixels and elsewhere what the largest probability lacks to the region's 1, at least
    0. It is taken as a constant and :math:`W` as symmetric, so :math:`\partial E / \partial S = -2 G\, W S' / B`
    inside the region: the gradient costs no second filtering. Everything happens at ``scale_factor`` times the
    input's size: images, regions and labels sampled nearest, probabilities bilinearly.

    The value is negative, not divided by the number of pixels, and 0 (connected to the graph) where no region is
    valid.

    Args:
        weight (float): Factor of the energy. Defaults to 1e-7.
        sigma_rgb (float): Standard deviation of colors, in units of 0 to 255. Defaults to 15.
        sigma_xy (float): Standard deviation of positions, in pixels of the unscaled input. Defaults to 100.
        scale_factor (float): Scaling before filtering. Defaults to 0.5.
        kernel (str): ``'lattice'``: the permutohedral lattice, as the published numbers were made with, about 0.55
            times the Gaussian sum; ``'exact'``: the Gaussian sum itself, in blocks of bounded memory, with a cost
            of the square of the number of pixels. Defaults to 'lattice'.
        kernel_scale (float): Factor of the kernel; about 0.55 gives ``'exact'`` the effective weight of
            ``'lattice'``. Defaults to 1.
        ignore_index (int): Label of unlabeled pixels. Defaults to 255.

    Raises:
        ValueError: If ``kernel`` is unknown, or a standard deviation or the scale factor is not positive.
    """

    def __init__(self,
                 weight: float = 1e-7,
                 sigma_rgb: float = 15.,
                 sigma_xy: float = 100.,
                 scale_factor: float = 0.5,
                 kernel: Literal['lattice', 'exact'] = 'lattice',
                 kernel_scale: float = 1.,
                 ignore_index: int = IGNORE_INDEX) -> None:
        super().__init__()
        if kernel not in _FILTERS:
            raise ValueError(f'kernel must be one of {sorted(_FILTERS)}, got {kernel!r}.')
        for name, value in dict(sigma_rgb=sigma_rgb, sigma_xy=sigma_xy, scale_factor=scale_factor).items():
            if not value > 0:
                raise ValueError(f'{name} must be positive, got {value}.')
        self.weight = weight
        self.sigma_rgb = sigma_rgb
        self.sigma_xy = sigma_xy
        self.scale_factor = scale_factor
        self.kernel = kernel
        self.kernel_scale = kernel_scale
        self.ignore_index = ignore_index

    def forward(self, images: Tensor, probs: Tensor, rois: Tensor, labels: Tensor) -> Tensor:
        """Compute the weighted energy.

        Args:
            images (Tensor): RGB, 0 to 255. (B, 3, H, W).
            probs (Tensor): Class probabilities, background included. (B, K, H, W).
            rois (Tensor): 1 inside the valid region, 0 outside. (B, H, W).
            labels (Tensor): Labels, of which only ``ignore_index`` matters. (B, H, W).

        Returns:
            Tensor: Scalar.

        Raises:
            ValueError: If the shapes do not fit.
        """
        batch, _, *size = probs.shape
        if not (images.shape == (batch, 3, *size) and rois.shape == labels.shape == (batch, *size)):
            raise ValueError(f'images {tuple(images.shape)}, probs {tuple(probs.shape)}, rois {tuple(rois.shape)} and '
                             f'labels {tuple(labels.shape)} do not fit (B, 3, H, W), (B, K, H, W) and (B, H, W).')
        with torch.autocast(probs.device.type, enabled=False):
            probs = self._scale(probs.float(), 'bilinear')
            images = self._scale(images.detach().float(), 'nearest')
            rois = self._scale(rois[:, None].float(), 'nearest')
            unlabeled = self._scale((labels[:, None] == self.ignore_index).float(), 'nearest')
            features = bilateral_features(images, self.sigma_xy * self.scale_factor, self.sigma_rgb)
            gate = (rois - probs.detach().amax(1, keepdim=True)).clamp_(min=0)
            gate = torch.where(unlabeled > 0, 1, gate) * self.kernel_scale
            return self.weight * _GatedEnergy.apply(probs, rois, gate, _FILTERS[self.kernel](features))

    def _scale(self, maps: Tensor, mode: str) -> Tensor:
        if self.scale_factor == 1:
            return maps
        corners = None if mode == 'nearest' else False
        return F.interpolate(maps, scale_factor=self.scale_factor, mode=mode, align_corners=corners)


def bilateral_features(images: Tensor, sigma_xy: float, sigma_rgb: float) -> Tensor:
    """Stack the position (x, y) and color of every pixel, divided by their standard deviations.

    Args:
        images (Tensor): (B, 3, H, W).
        sigma_xy (float): Standard deviation of positions, in pixels.
        sigma_rgb (float): Standard deviation of colors.

    Returns:
        Tensor: (B, 5, H * W).
    """
    batch, _, height, width = images.shape
    x = torch.arange(width, device=images.device, dtype=images.dtype) / sigma_xy
    y = torch.arange(height, device=images.device, dtype=images.dtype) / sigma_xy
    position = torch.stack(torch.meshgrid(x, y, indexing='xy'))
    return torch.cat([position.expand(batch, -1, -1, -1), images / sigma_rgb], dim=1).flatten(2)


def _lattice_filter(features: Tensor) -> Callable[[Tensor], Tensor]:
    return PermutohedralLattice(features).filter


def _exact_filter(features: Tensor) -> Callable[[Tensor], Tensor]:
    """Make the exact Gaussian filter of features (B, D, N), computed for some points at a time."""
    features = features.transpose(1, 2)

    def apply(values: Tensor) -> Tensor:
        out = torch.empty_like(values)
        step = max(_PAIRS_AT_ONCE // features.shape[1], 1)
        for points, source, target in zip(features, values, out):
            for some, part in zip(points.split(step), target.split(step, dim=1)):
                distance = torch.cdist(some, points, compute_mode='donot_use_mm_for_euclid_dist')
                part.copy_(source @ distance.square_().mul_(-0.5).exp_().T)
        return out

    return apply


_FILTERS = {'lattice': _lattice_filter, 'exact': _exact_filter}


class _GatedEnergy(torch.autograd.Function):
    """Energy of probabilities (B, K, H, W) given region and gate (B, 1, H, W), with its own gradient."""

    @staticmethod
    def forward(ctx: Any, probs: Tensor, rois: Tensor, gate: Tensor, kernel: Callable[[Tensor], Tensor]) -> Tensor:
        inside = probs * rois
        agreement = kernel(inside.flatten(2)).view_as(probs) * gate
        ctx.save_for_backward(agreement * rois)
        return (inside * agreement).sum() / -len(probs)

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple:
        agreement, = ctx.saved_tensors
        return agreement * (grad_output * (-2 / len(agreement))), None, None, None
