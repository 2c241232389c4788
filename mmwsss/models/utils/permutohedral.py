"""High-dimensional Gaussian filtering on the permutohedral lattice, with tensor operations only."""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ['PermutohedralLattice']


class PermutohedralLattice:
    r"""Approximate Gaussian filter over points in a feature space of a few dimensions.

    The sum :math:`\sum_j \exp(-|f_i - f_j|^2 / 2)\, v_j` over all points costs the square of their number. Here
    every point spreads its value to the ``D + 1`` corners of the lattice simplex it lies in, with barycentric
    weights; the occupied corners are blurred by ``[0.5, 1, 0.5]`` along each of the ``D + 1`` lattice directions;
    and each point reads the result back with the same weights (Adams et al., Fast High-Dimensional Filtering Using
    the Permutohedral Lattice, Eurographics 2010; scaling and final factor :math:`1 / (1 + 2^{-D})` as in
    Kraehenbuehl and Koltun's dense CRF, NeurIPS 2011).

    The result is *proportional* to the Gaussian sum, about 0.55 of it for the colors and positions of an image,
    rather than equal. Blurring stops where no corner is occupied, so the directions do not quite commute and the
    matrix is not quite symmetric: on photographs it differs from its transpose by about 7 % in norm, and by 3 to 4 %
    in its effect on smooth maps. ``reverse=True`` applies the exact transpose.

    Building depends on the features alone and is done once; any number of values can be filtered. Points of
    different images of the batch never share a corner. Nothing here carries a gradient.

    Args:
        features (Tensor): Positions of the points, divided by the standard deviations. (B, D, N).

    Attributes:
        num_vertices (int): Number of occupied lattice corners in the batch.

    Raises:
        ValueError: If ``features`` is not three-dimensional, is not finite, or spans more lattice cells than an
            int64 can number.
    """

    @torch.no_grad()
    def __init__(self, features: Tensor) -> None:
        if features.ndim != 3:
            raise ValueError(f'features must have shape (B, D, N), got {tuple(features.shape)}.')
        self._batch, self._dims, self._points = features.shape
        if not features.isfinite().all():
            raise ValueError('features must be finite, but some are NaN or infinite: check the image.')
        features = features.to(torch.promote_types(features.dtype, torch.float32))
        cell, rank, weights = _enclosing_simplex(features.transpose(0, 1).flatten(1))
        strides, batch_stride = _code_strides(cell[:-1], self._batch)
        codes = _vertex_codes(cell[:-1], rank, strides)
        codes += torch.arange(self._batch, device=codes.device).mul_(batch_stride).repeat_interleave(self._points)
        vertices = self._index_corners(codes, weights)
        self._neighbors = _blur_neighbors(vertices, strides, weights.dtype)

    def _index_corners(self, codes: Tensor, weights: Tensor) -> Tensor:
        """Number the occupied corners; store the point -> corner table and its transpose; return sorted codes."""
        codes, weights = codes.T.flatten(), weights.T.flatten()
        ordered, order = torch.sort(codes)
        is_first = torch.ones_like(ordered, dtype=torch.bool)
        torch.ne(ordered[1:], ordered[:-1], out=is_first[1:])
        corner = torch.empty_like(order)
        corner[order] = is_first.cumsum(0) - 1
        starts = is_first.nonzero().squeeze(1)
        self.num_vertices = len(starts)
        self._slice_table = corner.view(-1, self._dims + 1), weights.view(-1, self._dims + 1)
        self._splat_table = order // (self._dims + 1), starts, weights[order]
        return ordered[starts]

    @torch.no_grad()
    def filter(self, values: Tensor, reverse: bool = False) -> Tensor:
        """Filter values of the points.

        Args:
            values (Tensor): (B, K, N) in the order of the features' points.
            reverse (bool): Blur along the directions in reverse order, which applies the transposed matrix.

        Returns:
            Tensor: Filtered values. (B, K, N).

        Raises:
            ValueError: If the batch size or number of points is not that of the features.
        """
        if values.ndim != 3 or (len(values), values.shape[2]) != (self._batch, self._points):
            raise ValueError(f'values must have shape ({self._batch}, K, {self._points}), got '
                             f'{tuple(values.shape)}.')
        points, starts, weights = self._splat_table
        rows = values.transpose(1, 2).flatten(0, 1).to(weights.dtype)
        lattice = F.embedding_bag(points, rows, starts, mode='sum', per_sample_weights=weights)
        for table in reversed(self._neighbors) if reverse else self._neighbors:
            lattice = F.embedding_bag(table[0], lattice, mode='sum', per_sample_weights=table[1])
        corner, weights = self._slice_table
        rows = F.embedding_bag(corner, lattice, mode='sum', per_sample_weights=weights)
        rows = rows.mul_(1 / (1 + 2.0**-self._dims))
        return rows.view(self._batch, self._points, -1).transpose(1, 2).to(values.dtype)


def _enclosing_simplex(features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Find the simplex around each point.

    Args:
        features (Tensor): (D, P).

    Returns:
        tuple[Tensor, Tensor, Tensor]: The remainder-0 corner (D + 1, P) int64, coordinates summing to 0; the rank
        of each coordinate's distance from it, largest first (D + 1, P) int64; and the barycentric weights of the
        corners of remainder 0 to D, (D + 1, P).
    """
    dims = len(features)
    size = dims + 1
    elevated = _elevate(features)
    nearest = (elevated / size).round()
    excess = nearest.sum(0).long()
    cell = nearest.long() * size
    offset = elevated - cell
    rank = torch.zeros_like(cell)
    for i in range(size):
        for j in range(i + 1, size):
            behind = offset[i] < offset[j]
            rank[i] += behind
            rank[j] += ~behind
    rank += excess
    shift = size * ((rank < 0).long() - (rank > dims).long())
    rank += shift
    cell += shift
    scaled = (elevated - cell) / size
    ranked = torch.empty_like(scaled).scatter_(0, rank, scaled).flip(0)
    weights = ranked - ranked.roll(1, 0)
    weights[0] += 1
    return cell, rank, weights


def _elevate(features: Tensor) -> Tensor:
    """Embed points (D, P) in the hyperplane of zero coordinate sum of D + 1 dimensions, scaled to unit blur."""
    dims = len(features)
    elevated = features.new_zeros(dims + 1, features.shape[1])
    deviation = (2 / 3)**0.5 * (dims + 1)
    for axis in range(dims, 0, -1):
        scaled = features[axis - 1] * (deviation / (axis * (axis + 1))**0.5)
        elevated[axis] -= axis * scaled
        elevated[:axis] += scaled
    return elevated


def _code_strides(cell: Tensor, batch: int) -> tuple[Tensor, int]:
    """Plan mixed-radix codes of corners and of their neighbors, which differ from a cell by at most 2D + 1.

    Args:
        cell (Tensor): Remainder-0 corners, last coordinate left out. (D, P).
        batch (int): Number of images that share the code space.

    Returns:
        tuple[Tensor, int]: Stride of each coordinate (D, ) and of an image.
    """
    least, most = torch.aminmax(cell, dim=1)
    strides = [1]
    for low, high in zip(least.tolist(), most.tolist()):
        strides.append(strides[-1] * (high - low + 4 * len(cell) + 3))
    if strides[-1] * batch >= 2**62:
        raise ValueError(f'the features span {strides[-1] * batch:.1e} lattice cells, more than can be '
                         'numbered: use larger standard deviations.')
    return cell.new_tensor(strides[:-1]), strides[-1]


def _vertex_codes(cell: Tensor, rank: Tensor, strides: Tensor) -> Tensor:
    """Return the codes (D + 1, P) of the corners of each point's simplex.

    Passing from remainder r - 1 to r adds 1 to every coordinate and takes D + 1 from the one of rank D + 1 - r.
    """
    dims = len(strides)
    origin = ((cell - cell.amin(1, keepdim=True)) * strides[:, None]).sum(0)
    steps = F.pad(strides, (0, 1))[:, None].expand_as(rank)
    steps = torch.empty_like(rank).scatter_(0, rank, steps).flip(0)[:-1].mul_(-(dims + 1)).add_(strides.sum())
    return torch.cat([origin[None], steps]).cumsum(0)


def _blur_neighbors(vertices: Tensor, strides: Tensor, dtype: torch.dtype) -> list[tuple[Tensor, Tensor]]:
    """Find the two neighbors of each corner along each direction.

    Args:
        vertices (Tensor): Sorted codes of the corners. (V, ).
        strides (Tensor): Stride of each coordinate. (D, ).
        dtype (torch.dtype): Type of the weights.

    Returns:
        list[tuple[Tensor, Tensor]]: Per direction, corner indices (V, 3) (itself and the two neighbors) and
        weights (V, 3), 0 where there is no neighbor.
    """
    dims, count = len(strides), len(vertices)
    own = torch.arange(count, device=vertices.device)
    tables = []
    for step in (F.pad(strides, (0, 1)) * (dims + 1) - strides.sum()).unbind():
        target = vertices + step
        ahead = torch.searchsorted(vertices, target).clamp_(max=count - 1)
        found = vertices[ahead] == target
        index = torch.stack([own, ahead, own], dim=1)
        weights = torch.zeros(count, 3, dtype=dtype, device=vertices.device)
        weights[:, 0] = 1
        weights[:, 1] = 0.5 * found
        source, reached = own[found], ahead[found]
        index[reached, 2] = source
        weights[reached, 2] = 0.5
        tables.append((index, weights))
    return tables
