"""Pixel-adaptive refinement of score maps along the colors of the image."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmwsss.registry import MODELS

from ..utils import resize_maps
from .base import LabelStep
from .batch import LabelBatch

__all__ = ['PixelAdaptiveRefinement']

_LOG2_E = 1.4426950408889634
_TINY = 1e-8
_BAND = 16


def neighbor_offsets(dilations: Sequence[int]) -> list[tuple[int, int]]:
    """Return the (dy, dx) of the 8 neighbors of a 3x3 kernel for every dilation, without the center."""
    steps = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]
    return [(d * dy, d * dx) for d in dilations for dy, dx in steps]


class _Frame:
    """Planes inside a frame of replicated border pixels, with one view per neighbor offset.

    The frame is filled in place and the views stay valid, so moving from one iteration to the next allocates
    nothing and a neighbor's plane is a slice, not a copy. In memory the channels of a row are adjacent, so that
    weights that all channels share stay in the first cache of a CPU.

    Args:
        planes (Tensor): Planes to frame. (B, C, H, W).
        offsets (list[tuple[int, int]]): (dy, dx) of the neighbors.
    """

    def __init__(self, planes: Tensor, offsets: list[tuple[int, int]]) -> None:
        height, width = planes.shape[-2:]
        reach = max(max(abs(dy), abs(dx)) for dy, dx in offsets)
        self._box = (reach, reach + height, reach, reach + width)
        shape = (len(planes), height + 2 * reach, planes.shape[1], width + 2 * reach)
        self._buffer = planes.new_empty(shape).transpose(1, 2)
        self.center = self._view(0, 0)
        self.neighbors = [self._view(dy, dx) for dy, dx in offsets]
        self.center.copy_(planes)
        self.replicate_border()

    def _view(self, dy: int, dx: int) -> Tensor:
        top, bottom, left, right = self._box
        return self._buffer[..., top + dy:bottom + dy, left + dx:right + dx]

    def replicate_border(self) -> None:
        """Repeat the outermost rows and columns of the center outwards, corners included."""
        top, bottom, left, right = self._box
        rows = self._buffer[..., top:bottom, :]
        rows[..., :left] = rows[..., left:left + 1]
        rows[..., right:] = rows[..., right - 1:right]
        self._buffer[..., :top, :] = self._buffer[..., top:top + 1, :]
        self._buffer[..., bottom:, :] = self._buffer[..., bottom - 1:bottom, :]


@MODELS.register_module()
class PixelAdaptiveRefinement(nn.Module, LabelStep):
    r"""Pixel-adaptive refinement (PAR): diffuse score maps along the colors of an image.

    Every pixel :math:`i` looks at the 8 neighbors :math:`n` of a 3x3 kernel at each dilation (48 neighbors by
    default, borders replicated; AFA, CVPR 2022, section 3.4; the same operator with the same constants as in ToCo
    and in Eq. 13-15 of AReAM) and takes

    .. math:: M(i) \leftarrow \sum_n a(i, n)\, M(n), \quad
              a(i, n) = \operatorname{softmax}_n k_I(i, n) + w \operatorname{softmax}_n k_L(n)

    ``num_iters`` times. The color term :math:`k_I` is the mean over the channels of
    :math:`-(|I_n - I_i| / (\sigma_c(i) + 10^{-8}) / s)^2` with :math:`\sigma_c(i)` the unbiased standard deviation
    of the neighbors' values, the position term the same of the distances :math:`d` and :math:`d \sqrt 2`. The
    weights of a pixel sum to ``1 + position_weight``, so the output is scaled by that to the power ``num_iters``.
    Units of the colors do not matter.

    The weights are computed once per image, whatever the number of planes and iterations, and stored once
    (48 planes); neighbors are read through slices of one framed buffer. Nothing here carries a gradient.

    It is a label step, and may also be called with images and planes.

    Args:
        dilations (Sequence[int]): Dilations of the 3x3 kernel, positive. Defaults to (1, 2, 4, 8, 12, 24).
        num_iters (int): Number of iterations. Defaults to 10.
        color_scale (float): ``s`` of the color term. Defaults to 0.3.
        position_scale (float): ``s`` of the position term. Defaults to 0.3.
        position_weight (float): ``w``, the weight of the position term. Defaults to 0.01.
        keep_scale (bool): As a label step, divide by the result for a plane of ones, so that thresholds on the scores
            keep their meaning. Defaults to False.

    Raises:
        ValueError: If a dilation is not positive, none is given or ``num_iters`` is negative.
    """

    device = 'model'

    def __init__(self,
                 dilations: Sequence[int] = (1, 2, 4, 8, 12, 24),
                 num_iters: int = 10,
                 color_scale: float = 0.3,
                 position_scale: float = 0.3,
                 position_weight: float = 0.01,
                 keep_scale: bool = False) -> None:
        super().__init__()
        if not dilations or any(d < 1 for d in dilations):
            raise ValueError(f'dilations must be one or more positive integers, got {dilations!r}.')
        if num_iters < 0:
            raise ValueError(f'num_iters must not be negative, got {num_iters}.')
        self.dilations = tuple(dilations)
        self.num_iters = num_iters
        self.color_scale = color_scale
        self.position_scale = position_scale
        self.position_weight = position_weight
        self.keep_scale = keep_scale

    def identity(self) -> dict[str, Any]:
        """Return all settings that determine the result; see :class:`LabelStep`."""
        return dict(type=type(self).__name__, dilations=list(self.dilations), num_iters=self.num_iters,
                    color_scale=self.color_scale, position_scale=self.position_scale,
                    position_weight=self.position_weight, keep_scale=self.keep_scale)

    @torch.no_grad()
    def transform(self, batch: LabelBatch) -> LabelBatch:
        """Refine the scores of a batch along its images, at the size that the scores have.

        All planes of all images are refined in one call. If no step has set the background, it is left out.
        """
        images = batch.images.to(batch.scores.device)
        images = images / 255 if images.dtype == torch.uint8 else images
        scores = batch.scores if batch.has_background else batch.scores[:, :, 1:]
        planes = scores.flatten(1, 2)
        images = resize_maps(images, planes.shape[-2:])
        if self.keep_scale:
            refined = self(images, torch.cat([planes, torch.ones_like(planes[:, :1])], dim=1))
            refined = refined[:, :-1] / refined[:, -1:]
        else:
            refined = self(images, planes) if planes.shape[1] else planes
        refined = refined.view_as(scores)
        if not batch.has_background:
            refined = torch.cat([torch.zeros_like(batch.scores[:, :, :1]), refined], dim=2)
        return replace(batch, scores=refined)

    @torch.no_grad()
    def forward(self, images: Tensor, masks: Tensor) -> Tensor:
        """Refine the planes of each image.

        Args:
            images (Tensor): Images in any color range. (B, 3, H, W).
            masks (Tensor): Score planes; resized to the image bilinearly with aligned corners if their size
                differs. (B, M, h, w).

        Returns:
            Tensor: Refined planes. (B, M, H, W), float32 (float64 if either input is).

        Raises:
            ValueError: If an input is not four-dimensional or the batch sizes differ.
        """
        if images.ndim != 4 or masks.ndim != 4 or len(images) != len(masks):
            raise ValueError('expected images (B, 3, H, W) and masks (B, M, h, w) of one batch size, got '
                             f'{tuple(images.shape)} and {tuple(masks.shape)}.')
        dtype = torch.promote_types(torch.promote_types(images.dtype, masks.dtype), torch.float32)
        images, masks = images.to(dtype), masks.to(dtype)
        if masks.shape[-2:] != images.shape[-2:]:
            masks = F.interpolate(masks, images.shape[-2:], mode='bilinear', align_corners=True)
        if self.num_iters == 0:
            return masks.clone()
        return self._diffuse(masks, self._weights(images).unbind())

    @torch.no_grad()
    def affinity(self, images: Tensor) -> Tensor:
        """Compute the weight of every neighbor of every pixel.

        Args:
            images (Tensor): Images in any color range. (B, 3, H, W).

        Returns:
            Tensor: Weights, summing to ``1 + position_weight`` per pixel. (B, 8 * len(dilations), H, W), ordered
            by dilation, then row by row through the 3x3 kernel without its center.
        """
        images = images.to(torch.promote_types(images.dtype, torch.float32))
        return self._weights(images).squeeze(2).transpose(0, 1)

    def position_weights(self) -> Tensor:
        """Compute the constant part of the weights, one per neighbor, summing to ``position_weight``."""
        offsets = torch.tensor(neighbor_offsets(self.dilations), dtype=torch.float64)
        distance = offsets.norm(dim=1)
        scaled = distance / (distance.std() + _TINY) / self.position_scale
        return self.position_weight * torch.softmax(-scaled**2, dim=0)

    def _weights(self, images: Tensor) -> Tensor:
        """Compute the weights, one contiguous plane per neighbor and image. (N, B, 1, H, W).

        The softmax goes through bands of rows that fit a CPU's cache; exp2 of a scaled exponent stands for exp, which
        is several times slower on CPUs.
        """
        weights = self._color_distances(images)
        position = self.position_weights().to(weights).view(-1, 1, 1, 1, 1)
        for band in weights.split(_BAND, dim=3):
            torch.sub(band.amin(0), band, out=band).exp2_()
            torch.addcmul(position, band, band.sum(0).reciprocal_(), out=band)
        return weights

    def _color_distances(self, images: Tensor) -> Tensor:
        """Compute -k_I in units of log 2, one plane per neighbor. (N, B, 1, H, W)."""
        frame = _Frame(images, neighbor_offsets(self.dilations))
        scale = _spread(frame.neighbors).add_(_TINY).mul_(self.color_scale).reciprocal_()
        scale.mul_((_LOG2_E / images.shape[1])**0.5)
        distances = images.new_empty(len(frame.neighbors), len(images), 1, *images.shape[-2:])
        work = torch.empty_like(frame.center)
        first, *others = work.split(1, dim=1)
        for distance, neighbor in zip(distances, frame.neighbors):
            torch.sub(neighbor, frame.center, out=work).mul_(scale)
            torch.mul(first, first, out=distance)
            for channel in others:
                distance.addcmul_(channel, channel)
        return distances

    def _diffuse(self, masks: Tensor, weights: Sequence[Tensor]) -> Tensor:
        """Run the iterations on planes (B, M, H, W)."""
        frame = _Frame(masks, neighbor_offsets(self.dilations))
        total = torch.empty_like(frame.center)
        for step in range(self.num_iters):
            torch.mul(frame.neighbors[0], weights[0], out=total)
            for neighbor, weight in zip(frame.neighbors[1:], weights[1:]):
                total.addcmul_(neighbor, weight)
            if step + 1 < self.num_iters:
                frame.center.copy_(total)
                frame.replicate_border()
        return total.contiguous()


def _spread(planes: Sequence[Tensor]) -> Tensor:
    """Compute the unbiased standard deviation over equal-shaped planes in two passes, without stacking them."""
    mean = torch.zeros_like(planes[0])
    for plane in planes:
        mean.add_(plane)
    mean.div_(len(planes))
    squares, work = torch.zeros_like(mean), torch.empty_like(mean)
    for plane in planes:
        torch.sub(plane, mean, out=work)
        squares.addcmul_(work, work)
    return squares.div_(len(planes) - 1).sqrt_()
