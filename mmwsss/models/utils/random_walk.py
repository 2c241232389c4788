"""Random walk of class activation maps along affinities (PSA, CVPR 2018, Sec. 3.3)."""

import warnings
from typing import Optional

import torch
from torch import Tensor

__all__ = ['MAX_LOG2_STEPS', 'random_walk']

MAX_LOG2_STEPS = 16
"""int: The most steps of a walk, as a logarithm; publications use 4 to 8."""

_SPARSE_COST = 8
"""int: What an entry of a sparse product costs, in multiply-adds of a product of dense matrices."""


def random_walk(cams: Tensor,
                affinity: Tensor,
                beta: float = 8,
                log2_steps: int = 6,
                method: Optional[str] = None) -> Tensor:
    """Spread scores by a random walk of ``2 ** log2_steps`` steps.

    With W the affinity to the power ``beta``, element by element, and T = W divided by the sums of its columns, the
    result is ``cams @ T ** (2 ** log2_steps)``, maps as row vectors.

    Squaring T ``log2_steps`` times costs ``log2_steps * N ** 3`` multiply-adds, and two dense matrices of memory.
    Multiplying the K maps by T again and again costs ``2 ** log2_steps * K`` times the entries of T that are not 0, at
    most 70 a row for a radius of 5, each counted 8 times, for what sparse products lack in speed. The cheaper way is
    taken; of an image of 500 x 375 pixels that is the second one by far, for a few nodes and many steps the first one.

    Args:
        cams: (K, h, w) scores of any sign, floating point; a background plane is treated like any other.
        affinity: (N, N), N = h * w row-major, no entry below 0, the diagonal above 0; dense, or sparse by coordinates
            or rows (CSR).
        beta: Exponent; with larger values, scores spread less.
        log2_steps: Logarithm of the number of steps, 0 to :data:`MAX_LOG2_STEPS`.
        method: ``'squaring'`` or ``'products'``. Defaults to the cheaper one; both agree up to rounding.

    Returns:
        (K, h, w), of the kind and on the device of ``cams``.

    Raises:
        ValueError: Shapes do not fit, ``log2_steps`` is out of range, ``method`` is unknown, scores or affinities are
            NaN or infinite, or a column has no entry.
    """
    num_cells = cams.shape[-2] * cams.shape[-1]
    if cams.ndim != 3 or tuple(affinity.shape) != (num_cells, num_cells):
        raise ValueError('cams (K, h, w) and affinity (h * w, h * w) do not fit, got '
                         f'{tuple(cams.shape)} and {tuple(affinity.shape)}')
    if not 0 <= log2_steps <= MAX_LOG2_STEPS:
        raise ValueError(f'log2_steps must be 0 to {MAX_LOG2_STEPS} (2 ** log2_steps steps are made), got {log2_steps}')
    if method not in (None, 'squaring', 'products'):
        raise ValueError(f"method must be 'squaring', 'products' or None, got {method!r}")
    weights = _powered(affinity.to(cams.device, cams.dtype), beta)
    entries = weights.values().numel() if weights.is_sparse else num_cells**2
    method = method or _cheaper(len(cams), num_cells, entries, log2_steps)
    walk = _squared_walk if method == 'squaring' else _repeated_walk
    walked = walk(cams.flatten(1), weights, log2_steps).view_as(cams)
    if not torch.isfinite(walked).all():
        raise ValueError('the random walk gives NaN or infinite scores: the CAMs or the affinities are NaN or infinite')
    return walked


def _powered(affinity: Tensor, beta: float) -> Tensor:
    """Return the element-wise power, sparse (coalesced) if that makes products cheaper."""
    if affinity.layout == torch.sparse_csr:
        affinity = affinity.to_sparse_coo()
    if affinity.is_sparse:
        affinity = affinity.coalesce()
        return torch.sparse_coo_tensor(affinity.indices(), affinity.values()**beta, affinity.shape,
                                       is_coalesced=True, check_invariants=False)
    powered = affinity**beta
    if _SPARSE_COST * powered.count_nonzero() < powered.numel():
        return powered.to_sparse()
    return powered


def _cheaper(num_maps: int, num_cells: int, entries: int, log2_steps: int) -> str:
    """Return the method that needs fewer multiply-adds; see :func:`random_walk`."""
    price = 1 if entries == num_cells**2 else _SPARSE_COST
    products = 2**log2_steps * num_maps * entries * price
    squaring = log2_steps * num_cells**3 + num_maps * num_cells**2
    return 'products' if products <= squaring else 'squaring'


def _column_sums(weights: Tensor) -> Tensor:
    """Return the sums (N,) of the columns; refuse sums that are 0 or not finite."""
    sums = torch.sparse.sum(weights, dim=0).to_dense() if weights.is_sparse else weights.sum(dim=0)
    if not torch.isfinite(sums).all():
        raise ValueError('the affinities are NaN or infinite: are the weights of the AffinityNet damaged?')
    if not (sums > 0).all():
        raise ValueError(f'{int((sums <= 0).sum())} columns of the affinity have no entry above 0: its diagonal must '
                         'be positive, and beta not so large that it becomes 0')
    return sums


def _squared_walk(maps: Tensor, weights: Tensor, log2_steps: int) -> Tensor:
    """Walk rows (K, N) by squaring the transition matrix."""
    transition = (weights.to_dense() if weights.is_sparse else weights) / _column_sums(weights)
    for _ in range(log2_steps):
        transition = transition @ transition
    return maps @ transition


def _repeated_walk(maps: Tensor, weights: Tensor, log2_steps: int) -> Tensor:
    """Walk rows (K, N) step by step."""
    sums = _column_sums(weights)
    if not weights.is_sparse:
        for _ in range(2**log2_steps):
            maps = (maps @ weights) / sums
        return maps
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='Sparse CSR')
        transposed = weights.t().coalesce().to_sparse_csr()
    columns = maps.t().contiguous()
    for _ in range(2**log2_steps):
        columns = (transposed @ columns).div_(sums[:, None])
    return columns.t().contiguous()
