"""Pairs of neighboring cells of a feature map, their labels and their affinities (PSA, CVPR 2018).

A pair is a "from" cell and a cell at an offset from it. From cells are those whose every partner lies in the map: the
last rows and a margin of columns on either side only occur as partners. Everything works on shifted views of maps, so
that no index tables and no gathered copies are needed.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from .cam import IGNORE_INDEX

__all__ = ['PairLabels', 'dense_affinity', 'pair_affinity', 'pair_indices', 'pair_labels', 'pair_offsets',
           'sparse_affinity']

_BLOCK = 128
"""int: Channels whose differences are formed together; few enough to stay in a processor's cache."""


class PairLabels(NamedTuple):
    """Labels of pairs; each (B, P, N_from) bool, at most one of them true.

    Attributes:
        background: Both cells are background.
        foreground: Both are of the same class.
        negative: They are of different classes, or one is background.
    """

    background: Tensor
    foreground: Tensor
    negative: Tensor


def pair_offsets(radius: int) -> list[tuple[int, int]]:
    """Return the offsets (rows, columns) of half a disc: every unordered pair closer than ``radius`` once.

    Args:
        radius: Distances are strictly below it; 2 or more.

    Returns:
        P offsets: 34 for a radius of 5, 4 for 2. First those in the same row, then row by row, left to right.

    Raises:
        ValueError: ``radius`` is below 2, which leaves no pairs.
    """
    if radius < 2:
        raise ValueError(f'radius must be 2 or more, got {radius}: closer than that there are no pairs')
    reach = range(1 - radius, radius)
    below = [(dy, dx) for dy in range(1, radius) for dx in reach if dy * dy + dx * dx < radius * radius]
    return [(0, dx) for dx in range(1, radius)] + below


def pair_indices(size: Sequence[int], radius: int, device: Any = None) -> tuple[Tensor, Tensor]:
    """Return the row-major indices of the cells in pairs.

    Args:
        size: (h, w) of the map.
        radius: See :func:`pair_offsets`.
        device: Where the result goes.

    Returns:
        From cells (N_from,) and their partners (P, N_from), long.

    Raises:
        ValueError: The map is smaller than (radius, 2 * radius - 1).
    """
    _check_size(size, radius)
    cells = torch.arange(size[0] * size[1], device=device).view(*size)
    partners = [_shifted(cells, offset, radius).flatten() for offset in pair_offsets(radius)]
    return _shifted(cells, (0, 0), radius).flatten(), torch.stack(partners)


def pair_labels(labels: Tensor, radius: int = 5) -> PairLabels:
    """Compare the labels of the cells of all pairs.

    Args:
        labels: (B, h, w) integers: 0 background, 255 unknown, anything else a class.
        radius: See :func:`pair_offsets`.

    Returns:
        Three masks (B, P, N_from); pairs with an unknown cell are in none of them.

    Raises:
        ValueError: The map is smaller than (radius, 2 * radius - 1).
    """
    _check_size(labels.shape[-2:], radius)
    partners = torch.stack([_shifted(labels, offset, radius) for offset in pair_offsets(radius)], dim=1).flatten(2)
    own = _shifted(labels, (0, 0), radius).flatten(1)[:, None]
    valid = (own != IGNORE_INDEX) & (partners != IGNORE_INDEX)
    same = (own == partners) & valid
    return PairLabels(same & (own == 0), same & (own != 0), (own != partners) & valid)


def pair_affinity(features: Tensor, radius: int = 5) -> Tensor:
    """Compute exp(-mean over channels |f_to - f_from|) for all pairs (PSA, Eq. 3, with the code's mean).

    Neither pass keeps the differences: each holds those of one offset and a few channels at a time, and the backward
    pass forms them again from the features.

    Args:
        features: (B, C, h, w); half precision is computed in float32.
        radius: See :func:`pair_offsets`.

    Returns:
        (B, P, N_from) in (0, 1].

    Raises:
        ValueError: The map is smaller than (radius, 2 * radius - 1).
    """
    _check_size(features.shape[-2:], radius)
    if features.dtype in (torch.float16, torch.bfloat16):
        features = features.float()
    return _PairAffinity.apply(features, radius)


def dense_affinity(pairs: Tensor, size: Sequence[int], radius: int = 5) -> Tensor:
    """Arrange affinities of pairs in matrices.

    Args:
        pairs: (B, P, N_from), see :func:`pair_affinity`.
        size: (h, w) of the map.
        radius: See :func:`pair_offsets`.

    Returns:
        (B, N, N), N = h * w row-major: symmetric, 1 on the diagonal, 0 for what is no pair.

    Raises:
        ValueError: Pairs and size do not fit, or the map is smaller than (radius, 2 * radius - 1).
    """
    own, partners = _checked_indices(pairs, size, radius)
    num_cells = math.prod(size)
    dense = pairs.new_zeros(len(pairs), num_cells, num_cells)
    dense[:, own.expand_as(partners), partners] = pairs
    dense[:, partners, own.expand_as(partners)] = pairs
    dense.diagonal(dim1=1, dim2=2).fill_(1)
    return dense


def sparse_affinity(pairs: Tensor, size: Sequence[int], radius: int = 5) -> Tensor:
    """Arrange affinities of the pairs of one map in a sparse matrix, without a dense one in between.

    Args:
        pairs: (P, N_from), see :func:`pair_affinity`.
        size: (h, w) of the map.
        radius: See :func:`pair_offsets`.

    Returns:
        (N, N) coalesced sparse tensor with the entries of :func:`dense_affinity`.

    Raises:
        ValueError: Pairs and size do not fit, or the map is smaller than (radius, 2 * radius - 1).
    """
    own, partners = _checked_indices(pairs[None], size, radius)
    num_cells = math.prod(size)
    diagonal = torch.arange(num_cells, device=pairs.device)
    own, partners = own.expand_as(partners).flatten(), partners.flatten()
    rows, cols = torch.cat([own, partners, diagonal]), torch.cat([partners, own, diagonal])
    values = torch.cat([pairs.flatten(), pairs.flatten(), pairs.new_ones(num_cells)])
    return torch.sparse_coo_tensor(
        torch.stack([rows, cols]), values, (num_cells, num_cells), check_invariants=False).coalesce()


class _PairAffinity(Function):
    """See :func:`pair_affinity`."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, radius: int) -> Tensor:
        offsets = pair_offsets(radius)
        own = _shifted(features, (0, 0), radius)
        distances = features.new_zeros(len(features), len(offsets), *own.shape[-2:])
        for block in features.split(_BLOCK, dim=1):
            own = _shifted(block, (0, 0), radius)
            buffer = torch.empty_like(own, memory_format=torch.contiguous_format)
            for index, offset in enumerate(offsets):
                torch.sub(_shifted(block, offset, radius), own, out=buffer)
                distances[:, index] += buffer.abs_().sum(dim=1)
        affinity = distances.div_(-features.shape[1]).exp_().flatten(2)
        ctx.save_for_backward(features, affinity)
        ctx.radius = radius
        return affinity

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        features, affinity = ctx.saved_tensors
        size = _shifted(features, (0, 0), ctx.radius).shape[-2:]
        # d exp(-mean |t - f|) / dt = -exp(..) sign(t - f) / C, and the opposite for f.
        factors = (grad * affinity / -features.shape[1]).unflatten(2, size)
        result = torch.zeros_like(features)
        for block, target in zip(features.split(_BLOCK, dim=1), result.split(_BLOCK, dim=1)):
            own, own_target = _shifted(block, (0, 0), ctx.radius), _shifted(target, (0, 0), ctx.radius)
            buffer = torch.empty_like(own, memory_format=torch.contiguous_format)
            for index, offset in enumerate(pair_offsets(ctx.radius)):
                torch.sub(_shifted(block, offset, ctx.radius), own, out=buffer)
                buffer.sign_().mul_(factors[:, index, None])
                _shifted(target, offset, ctx.radius).add_(buffer)
                own_target.sub_(buffer)
        return result, None


def _shifted(maps: Tensor, offset: tuple[int, int], radius: int) -> Tensor:
    """Return a view of maps (..., h, w) on the partners at an offset, (..., h - radius + 1, w - 2 * radius + 2)."""
    margin = radius - 1
    rows, cols = maps.shape[-2] - margin, maps.shape[-1] - 2 * margin
    return maps[..., offset[0]:offset[0] + rows, margin + offset[1]:margin + offset[1] + cols]


def _check_size(size: Sequence[int], radius: int) -> None:
    if size[0] < radius or size[1] < 2 * radius - 1:
        raise ValueError(f'a map of {size[0]} x {size[1]} cells has no pairs of radius {radius}: it needs {radius} x '
                         f'{2 * radius - 1} cells or more; enlarge or pad the image')


def _checked_indices(pairs: Tensor, size: Sequence[int], radius: int) -> tuple[Tensor, Tensor]:
    """Return the indices of the cells in pairs, after checking that the map has as many pairs."""
    own, partners = pair_indices(size, radius, pairs.device)
    if pairs.shape[1:] != partners.shape:
        raise ValueError(f'a map of {size[0]} x {size[1]} cells has {tuple(partners.shape)} pairs of radius {radius}, '
                         f'got {tuple(pairs.shape[1:])}')
    return own, partners
