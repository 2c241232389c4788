"""Arithmetic of attention matrices: pure functions of tensors."""

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ['diagonal_share', 'effective_keys', 'foreground_mass', 'hellinger_distances', 'pooled_matrix',
           'token_foreground']

IGNORED = 255


def diagonal_share(affinity: Tensor) -> Tensor:
    """Return the share of the diagonal in the sum of matrices (..., N, N): (...) in [0, 1]."""
    return affinity.diagonal(dim1=-2, dim2=-1).sum(dim=-1) / affinity.sum(dim=(-2, -1))


def effective_keys(affinity: Tensor) -> Tensor:
    """Return how many keys are attended: the exponential of the entropy of the mean of all rows.

    Args:
        affinity: (..., N, N), queries in rows.

    Returns:
        (...) from 1, where all queries attend to one key, to N.
    """
    columns = affinity.sum(dim=-2)
    columns = columns / columns.sum(dim=-1, keepdim=True)
    return torch.special.entr(columns).sum(dim=-1).exp()


def hellinger_distances(affinity: Tensor, normalize: bool = True) -> Tensor:
    """Compute the Hellinger distance of all pairs of rows (AReAM, arXiv 2305.03112, Eq. 6).

    Args:
        affinity: (..., N, N) non-negative, queries in rows.
        normalize: Let rows sum to 1 first. Attention among patches does not, as class tokens are keys, too.

    Returns:
        (..., N, N) in [0, 1].
    """
    if normalize:
        affinity = affinity / affinity.sum(dim=-1, keepdim=True)
    roots = affinity.sqrt()
    sums = affinity.sum(dim=-1)
    squares = (sums[..., :, None] + sums[..., None, :]) / 2 - roots @ roots.mT
    return squares.clamp(min=0).sqrt()


def foreground_mass(attention: Tensor, foreground: Tensor) -> tuple[float, float]:
    """Compare how much attention the foreground gets with how large it is.

    Args:
        attention: (N,) non-negative attention that each token gets.
        foreground: (N,) share of foreground in each token's patch, NaN where the truth is unknown.

    Returns:
        The share of attention that falls on foreground, and the share of foreground in the area. Their ratio is above 1
        where attention is drawn to objects. Both are NaN where nothing is known.
    """
    known = ~foreground.isnan()
    attention, foreground = attention[known].double(), foreground[known].double()
    return ((attention * foreground).sum() / attention.sum()).item(), foreground.mean().item()


def token_foreground(mask: Tensor, input_size: tuple[int, int], grid: tuple[int, int],
                     patch: tuple[int, int]) -> Tensor:
    """Return the share of foreground in each patch.

    Args:
        mask: (H0, W0) integers: 0 background, 255 unknown, all others foreground.
        input_size: (H, W) of the network's input, which shows all of the image.
        grid: (h, w) of the patches.
        patch: Height and width of a patch in pixels of the input.

    Returns:
        (h, w) in [0, 1], NaN where nothing of a patch is known.
    """
    resized = F.interpolate(mask[None, None].float(), size=tuple(input_size), mode='nearest')[0, 0]
    height, width = (count * side for count, side in zip(grid, patch))
    canvas = resized.new_full((height, width), IGNORED)
    canvas[:input_size[0], :input_size[1]] = resized[:height, :width]
    cells = canvas.unflatten(1, (grid[1], patch[1])).unflatten(0, (grid[0], patch[0]))
    known = (cells != IGNORED).sum(dim=(1, 3))
    return ((cells > 0) & (cells != IGNORED)).sum(dim=(1, 3)) / known


def pooled_matrix(matrix: Tensor, max_side: int) -> Tensor:
    """Average a matrix (N, N) to at most ``max_side`` rows and columns."""
    side = min(len(matrix), max_side)
    return matrix if side == len(matrix) else F.adaptive_avg_pool2d(matrix[None], side)[0]
