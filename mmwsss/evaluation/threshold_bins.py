"""Counting, for every score, the thresholds below it: exact, by table instead of by search."""

import numpy as np
import torch
from torch import Tensor

__all__ = ['ThresholdBins']

_CELLS = 4096


class ThresholdBins:
    """Number of thresholds strictly below each score, equal to a binary search but several times faster.

    [0, 1] is cut into cells by ``trunc(score * 4096)``, which is monotonic, so a threshold in a lower
    cell than the score is below it and one in a higher cell is not. A table holds the number of
    thresholds in lower cells; only those in the score's own cell (rarely more than one) are compared.

    Args:
        thresholds (np.ndarray): (T,) float64, strictly increasing, in [0, 1]. They are rounded to the
            dtype of the scores, as a comparison of a tensor with a Python number does.
    """

    def __init__(self, thresholds: np.ndarray) -> None:
        self._thresholds = torch.from_numpy(thresholds)
        self._tables: dict = {}

    def __call__(self, scores: Tensor) -> Tensor:
        """Count.

        Args:
            scores (Tensor): (N,) floating point in [0, 1].

        Returns:
            Tensor: (N,) int32 in 0..T.
        """
        lower, grid, per_cell = self._table(scores.dtype, scores.device)
        scores = scores.to(grid.dtype)
        below = lower.index_select(0, _cells(scores))
        for _ in range(per_cell):
            below = below + (grid.index_select(0, below) < scores)
        return below

    def __getstate__(self) -> dict:
        return {'_thresholds': self._thresholds, '_tables': {}}  # tables are remade where needed

    def _table(self, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor, int]:
        key = dtype, device
        if key not in self._tables:
            # Half precision values are kept exactly in float32, which is faster to compute with.
            wide = torch.promote_types(dtype, torch.float32)
            grid = self._thresholds.to(dtype).to(wide)
            cells = _cells(grid)
            lower = torch.searchsorted(cells, torch.arange(_CELLS + 1, dtype=torch.int32))
            per_cell = int(torch.bincount(cells).max())
            grid = torch.cat([grid, grid.new_full((1, ), torch.inf)])
            self._tables[key] = lower.int().to(device), grid.to(device), per_cell
        return self._tables[key]


def _cells(values: Tensor) -> Tensor:
    """Index of the cell each value lies in, (N,) int32; values outside [0, 1] go to the end cells."""
    return (values * _CELLS).to(torch.int32).clamp_(0, _CELLS)
