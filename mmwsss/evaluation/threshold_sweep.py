"""Quality of class activation maps at every background threshold, computed in one pass over the data."""

from collections.abc import Sequence
from typing import Any, Optional, Union

import numpy as np
import torch
from torch import Tensor

from .rates import class_rates, summarize_rates
from .results import EvaluationResult

__all__ = ['MAX_THRESHOLDS', 'ThresholdSweep', 'checked_thresholds', 'default_thresholds',
           'published_thresholds']

ArrayLike = Union[np.ndarray, Tensor]

# What a pixel's truth is to the class that wins there; first axis of the joint histogram.
_MISS, _HIT, _TRUE_BACKGROUND, _IGNORED = range(4)

# Labels above this are refused before a histogram of that length is made.
_MAX_LABEL = 65535

# Slack of the range check: resizing and half precision may leave [0, 1] by rounding.
_RANGE_SLACK = 1e-3

#: A sweep takes no more thresholds than this; its memory grows with their number times that of classes.
MAX_THRESHOLDS = 10_000

# Number of cells into which [0, 1] is cut to find the thresholds below a score.
_CELLS = 4096


def default_thresholds() -> np.ndarray:
    """Return the usual grid of background thresholds: 0.00, 0.01, ..., 0.99.

    Returns:
        np.ndarray: (100,) float64; each equals the decimal literal exactly.
    """
    return np.arange(100) / 100


def published_thresholds() -> np.ndarray:
    """Return the grid of the scripts published for PSA's successors, such as MCTformer: 0.00, 0.01, ..., 0.59.

    Returns:
        np.ndarray: (60,) float64; each equals the decimal literal exactly.
    """
    return np.arange(60) / 100


class ThresholdSweep:
    """Per-class IoU and error rates of class activation maps (CAMs) at many background thresholds at once.

    At threshold t a pixel's prediction is the class with the highest score, or background where that
    score is not above t (a score equal to the threshold is background). Instead of one confusion
    matrix per threshold, each pixel is counted once, in a histogram over (winning class, number of
    thresholds below its score); cumulative sums then give the counts at every threshold. The result
    is exact: it equals a separate evaluation at each threshold. Scores are compared with the
    thresholds in the dtype of the scores, as ``cams > t`` does.

    The state is integers only, two (K, T + 1) histograms and K counts, so sweeps over parts of the
    data can be added with :meth:`merge` in any order.

    Args:
        num_classes (int): K, the number of classes with background, which is class 0.
        thresholds (Sequence[float], optional): (T,) strictly increasing, in [0, 1].
            Defaults to :func:`default_thresholds`.
        ignore_index (int): Ground-truth value of pixels that do not count. Defaults to 255.

    Raises:
        ValueError: ``num_classes`` is below 2, or the thresholds are empty, not strictly increasing
            or outside [0, 1].

    Examples:
        >>> sweep = ThresholdSweep(num_classes=2, thresholds=(0.3, 0.5))
        >>> sweep.update(np.array([[[0.1, 0.4, 0.9, 0.5]]]), np.array([[0, 0, 1, 1]]))
        >>> sweep.compute()['mIoU'].round(2).tolist()
        [58.33, 58.33]
    """

    def __init__(self,
                 num_classes: int,
                 thresholds: Optional[Sequence[float]] = None,
                 ignore_index: int = 255) -> None:
        if num_classes < 2:
            raise ValueError(f'num_classes counts background and at least one class, so it is 2 or '
                             f'more, got {num_classes}')
        self.num_classes = int(num_classes)
        self.ignore_index = int(ignore_index)
        self.thresholds = checked_thresholds(thresholds)
        self._bins = _ThresholdBins(self.thresholds)
        shape = (self.num_classes, len(self.thresholds) + 1)
        # Row c > 0: pixels whose winner is c, by number of thresholds below the score; row 0: all.
        self._predicted = np.zeros(shape, np.int64)
        # Row c > 0: those of them with ground truth c; row 0: pixels with ground truth background.
        self._hits = np.zeros(shape, np.int64)
        self._truth = np.zeros(self.num_classes, np.int64)
        self._ignored = 0

    def update(self,
               cams: ArrayLike,
               gt: ArrayLike,
               channels: Optional[Sequence[int]] = None) -> None:
        """Count one image. The work is done on the device of ``cams``.

        Args:
            cams (np.ndarray or Tensor): Class maps in [0, 1], (C, H, W) floating point with C = K - 1
                and zeros for absent classes; or (P, H, W) with ``channels``.
            gt (np.ndarray or Tensor): Ground truth, (H, W) integers in 0..K-1 or ``ignore_index``.
            channels (Sequence[int], optional): The P foreground channels that ``cams`` holds, strictly
                increasing; the others count as absent. By default, all C.

        Raises:
            TypeError: ``cams`` is not floating point, or ``gt`` not of an integer type.
            ValueError: Sizes do not agree, scores are NaN or outside [0, 1], or ``gt`` holds a value
                that is no class.
        """
        cams, gt = _as_tensor(cams, 'cams'), _as_tensor(gt, 'gt')
        self._check_inputs(cams, gt, channels)
        gt = gt.flatten().to(cams.device, torch.long)
        truth = self._truth_counts(gt)
        scores, winners = self._winners(cams.flatten(1), channels)
        self._add(winners, self._bins(scores), gt)
        self._truth += truth
        self._ignored += gt.numel() - int(truth.sum())

    def merge(self, other: 'ThresholdSweep') -> None:
        """Add the counts of another sweep, for instance another process's.

        Args:
            other (ThresholdSweep): With the same classes, thresholds and ignore index.

        Raises:
            ValueError: The two sweeps are set up differently.
        """
        mine, theirs = self._settings(), other._settings()
        if mine != theirs:
            raise ValueError('only sweeps with equal (num_classes, ignore_index, thresholds) can be '
                             f'merged, got {mine} and {theirs}')
        self._predicted += other._predicted
        self._hits += other._hits
        self._truth += other._truth
        self._ignored += other._ignored

    def compute(self) -> dict:
        """Compute the rates at every threshold; see :func:`mmwsss.evaluation.class_rates`.

        Means leave out classes for which a rate is undefined (no pixel of them anywhere).

        Returns:
            dict[str, np.ndarray]: ``thresholds`` (T,); ``IoU``, ``class_FP``, ``class_FN``,
            ``precision``, ``recall`` (T, K); and their means over classes, background included,
            ``mIoU``, ``FP``, ``FN``, ``mPrecision``, ``mRecall`` (T,). All rates in percent.
        """
        return {'thresholds': self.thresholds.copy(), **summarize_rates(class_rates(*self._counts()))}

    def result(self, classes: Optional[Sequence[str]] = None, **details: Any) -> EvaluationResult:
        """Compute the rates as an object with tables, best threshold and printers.

        Args:
            classes (Sequence[str], optional): Names of the K classes, background first; numbers by default.
            **details (Any): Further numbers for :meth:`EvaluationResult.to_dict`.

        Raises:
            ValueError: There are not K names.
        """
        names = [str(index) for index in range(self.num_classes)] if classes is None else classes
        hits, predicted, truth = self._counts()
        return EvaluationResult(hits, predicted, truth, names, self.thresholds.copy(), self._ignored,
                                self.ignore_index, **details)

    def _settings(self) -> tuple:
        return self.num_classes, self.ignore_index, self.thresholds.tolist()

    def _check_inputs(self, cams: Tensor, gt: Tensor, channels: Optional[Sequence[int]]) -> None:
        foreground = self.num_classes - 1
        if not cams.is_floating_point():
            raise TypeError(f'cams must be floating point scores in [0, 1], got {cams.dtype}')
        if gt.is_floating_point() or gt.dtype == torch.bool:
            raise TypeError(f'gt must hold integer class indices, got {gt.dtype}')
        planes = foreground if channels is None else len(channels)
        if cams.ndim != 3 or len(cams) != planes:
            raise ValueError(f'cams must be ({planes}, H, W) for num_classes={self.num_classes} with '
                             f'background, got {tuple(cams.shape)}')
        if gt.shape != cams.shape[1:]:
            raise ValueError(f'gt is {tuple(gt.shape)} but cams are {tuple(cams.shape[1:])}: resize '
                             'the cams to the size of the ground truth')
        if channels is not None:
            _check_channels(channels, foreground)

    def _winners(self, planes: Tensor, channels: Optional[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Return the highest score (N,) of planes (P, N), and the class 1..K-1 of the first plane with it."""
        if channels is None:
            channels = range(self.num_classes - 1)
        values = [int(channel) + 1 for channel in channels]
        # Planes without a positive score never win above a threshold. NaN counts as positive here.
        kept = [] if not planes.numel() else (~(planes.amax(1) <= 0)).nonzero().flatten().tolist()
        if not kept:
            scores = planes.new_zeros(planes.shape[1])
            return scores, torch.ones_like(scores, dtype=torch.int32)
        planes = [planes[i] for i in kept]
        values = [values[i] for i in kept]
        _check_finite(planes)
        scores = planes[0] if len(planes) == 1 else torch.stack(planes).amax(0)
        _check_range(scores)
        winners = torch.full_like(scores, values[-1], dtype=torch.int32)
        for plane, value in zip(planes[-2::-1], values[-2::-1]):
            winners.masked_fill_(plane == scores, value)
        return scores, winners

    def _add(self, winners: Tensor, below: Tensor, gt: Tensor) -> None:
        """Add pixels to the histograms: winning class, thresholds below, ground truth, (N,) each."""
        relation = (gt == winners).to(torch.int32)
        relation.masked_fill_(gt == 0, _TRUE_BACKGROUND)
        relation.masked_fill_(gt == self.ignore_index, _IGNORED)
        shape = (_IGNORED + 1, *self._hits.shape)
        joint = (relation * shape[1] + winners) * shape[2] + below
        joint = torch.bincount(joint, minlength=int(np.prod(shape))).reshape(shape).cpu().numpy()
        counted = joint[_MISS] + joint[_HIT] + joint[_TRUE_BACKGROUND]
        counted[0] = counted.sum(0)
        self._predicted += counted
        self._hits += joint[_HIT]
        self._hits[0] += joint[_TRUE_BACKGROUND].sum(0)

    def _truth_counts(self, gt: Tensor) -> np.ndarray:
        """Count the pixels of each class (K,), after checking that there are only classes and ignored pixels."""
        if _outside(gt, 0, _MAX_LABEL).numel():
            gt = gt[gt != self.ignore_index]
            if _outside(gt, 0, _MAX_LABEL).numel():
                raise self._no_class(_outside(gt, 0, _MAX_LABEL))
        counts = torch.bincount(gt, minlength=self.num_classes).cpu().numpy()
        if 0 <= self.ignore_index < len(counts):
            counts[self.ignore_index] = 0
        if counts[self.num_classes:].any():
            raise self._no_class(torch.from_numpy(self.num_classes +
                                                  np.flatnonzero(counts[self.num_classes:])))
        return counts[:self.num_classes]

    def _no_class(self, values: Tensor) -> ValueError:
        return ValueError(f'gt holds {values.unique().tolist()[:5]}, allowed are 0 to '
                          f'{self.num_classes - 1} and ignore_index={self.ignore_index}')

    def _counts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return hits (T, K), predicted (T, K) and true (K,) pixels at each threshold."""
        counts = []
        for histogram in (self._hits, self._predicted):
            # Threshold i turns pixels with at most i thresholds below their score into background.
            dropped = np.cumsum(histogram, axis=1)[:, :-1]
            kept = histogram.sum(1, keepdims=True) - dropped
            kept[0] = dropped[0]
            counts.append(kept.T)
        return counts[0], counts[1], self._truth


def _as_tensor(array: ArrayLike, name: str) -> Tensor:
    if isinstance(array, Tensor):
        return array.detach()
    if not isinstance(array, np.ndarray):
        raise TypeError(f'{name} must be a numpy array or a torch tensor, got {type(array).__name__}')
    if array.dtype.kind in 'ui' and array.dtype.itemsize > 1:
        array = array.astype(np.int64)  # torch has no full support for unsigned types beyond 8 bit
    return torch.from_numpy(np.require(array, requirements=['C', 'W']))


def checked_thresholds(thresholds: Optional[Sequence[float]]) -> np.ndarray:
    """Check thresholds.

    Args:
        thresholds (Sequence[float], optional): (T,); None for :func:`default_thresholds`.

    Returns:
        np.ndarray: (T,) float64.

    Raises:
        ValueError: They are empty, not strictly increasing, outside [0, 1], or more than :data:`MAX_THRESHOLDS`.
    """
    if thresholds is not None and len(thresholds) > MAX_THRESHOLDS:
        raise ValueError(f'got {len(thresholds):,} thresholds, at most {MAX_THRESHOLDS:,} are evaluated: take a larger '
                         'step')
    grid = default_thresholds() if thresholds is None else np.array(thresholds, np.float64)
    if grid.ndim != 1 or not grid.size:
        raise ValueError(f'thresholds must be a non-empty list of numbers, got {thresholds!r}')
    if not ((grid >= 0) & (grid <= 1)).all() or (np.diff(grid) <= 0).any():
        raise ValueError(f'thresholds must be strictly increasing and in [0, 1], got {grid.tolist()}')
    return grid


def _check_channels(channels: Sequence[int], foreground: int) -> None:
    channels = [int(channel) for channel in channels]
    in_range = all(0 <= channel < foreground for channel in channels)
    if not in_range or channels != sorted(set(channels)):
        raise ValueError(f'channels must be strictly increasing and in 0..{foreground - 1}, got '
                         f'{channels}')


def _outside(values: Tensor, low: int, high: int) -> Tensor:
    """Return the values below ``low`` or above ``high``; if there are none, it costs two reductions."""
    if not values.numel() or (values.min() >= low and values.max() <= high):
        return values[:0]
    return values[(values < low) | (values > high)]


def _extremes(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least and the greatest value; older torch has no ``aminmax`` in half precision on the CPU."""
    if values.dtype == torch.half and values.device.type == 'cpu':
        return values.min(), values.max()
    return torch.aminmax(values)


def _check_finite(planes: Sequence[Tensor]) -> None:
    extremes = [extreme for plane in planes for extreme in _extremes(plane)]
    if not torch.stack(extremes).isfinite().all():
        raise ValueError('cams hold NaN or infinite values')


def _check_range(scores: Tensor) -> None:
    low, high = _extremes(scores)
    if not (low >= -_RANGE_SLACK and high <= 1 + _RANGE_SLACK):
        raise ValueError(f'cams must lie in [0, 1], the winning scores span {low:.4g} to {high:.4g}: '
                         'normalize them per image and class first')


class _ThresholdBins:
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
        """Count the thresholds below each score.

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
    """Return the index of the cell of each value, (N,) int32; values outside [0, 1] go to the end cells."""
    return (values * _CELLS).to(torch.int32).clamp_(0, _CELLS)
