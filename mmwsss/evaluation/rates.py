"""Rates of classes from pixel counts, and the choice of a threshold: functions of arrays."""

import numpy as np

__all__ = ['MEANS', 'RATES', 'best_threshold', 'class_rates', 'mean_over_classes', 'summarize_rates']

#: Per-class rates in the order of table columns, and their keys in a dict of arrays.
RATES = {'IoU': 'IoU', 'FP': 'class_FP', 'FN': 'class_FN', 'precision': 'precision', 'recall': 'recall'}

#: Metric names of the means of these rates over classes, in the same order, and their keys in a dict of arrays.
MEANS = {'mIoU': 'mIoU', 'FP': 'FP', 'FN': 'FN', 'precision': 'mPrecision', 'recall': 'mRecall'}


def class_rates(hits: np.ndarray, predicted: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    """Compute the rates of each class from its pixel counts.

    With TP ``hits``, P ``predicted``, T ``truth`` and the union U = T + P - TP: IoU = TP / U,
    FP = (P - TP) / U, FN = (T - TP) / U, precision = TP / P, recall = TP / T. IoU, FP and FN of a
    class add up to 100. These are the false-positive and false-negative rates of the ablations in
    MCTformer (CVPR 2022) and WeakTr.

    Args:
        hits (np.ndarray): Pixels predicted as their true class, (..., K) integers.
        predicted (np.ndarray): Pixels predicted as each class, (..., K) integers.
        truth (np.ndarray): Pixels of each class in the ground truth, broadcasts against (..., K).

    Returns:
        dict[str, np.ndarray]: ``IoU``, ``FP``, ``FN``, ``precision``, ``recall``, each (..., K)
        float64 in percent; NaN where the denominator is zero.
    """
    hits, predicted, truth = np.broadcast_arrays(hits, predicted, truth)
    union = truth + predicted - hits
    return {
        'IoU': 100 * _ratio(hits, union),
        'FP': 100 * _ratio(predicted - hits, union),
        'FN': 100 * _ratio(truth - hits, union),
        'precision': 100 * _ratio(hits, predicted),
        'recall': 100 * _ratio(hits, truth),
    }


def mean_over_classes(values: np.ndarray) -> np.ndarray:
    """Compute the mean over the last axis without NaN (classes that never occur).

    Args:
        values (np.ndarray): (..., K) float.

    Returns:
        np.ndarray: (...) float64; NaN where every class is NaN.
    """
    defined = np.isfinite(values)
    return _ratio(np.where(defined, values, 0).sum(-1), defined.sum(-1))


def summarize_rates(rates: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Compute the means over classes and name everything by the keys of :data:`RATES` and :data:`MEANS`.

    Args:
        rates (dict[str, np.ndarray]): The return value of :func:`class_rates`, (..., K) in percent.

    Returns:
        dict[str, np.ndarray]: ``IoU``, ``class_FP``, ``class_FN``, ``precision``, ``recall`` (..., K); ``mIoU``,
        ``FP``, ``FN``, ``mPrecision``, ``mRecall`` (...).
    """
    per_class = {key: rates[name] for name, key in RATES.items()}
    means = {key: mean_over_classes(rates[name]) for name, key in zip(RATES, MEANS.values())}
    return {**per_class, **means}


def best_threshold(values: np.ndarray, stop_early: bool = False) -> int:
    """Return the position of the best of the values at increasing thresholds; the first of equal ones.

    Args:
        values (np.ndarray): (T,), such as mIoU; NaN counts as worst.
        stop_early (bool): Go upward and stop before the first threshold that is no better than the one before it, as
            the published evaluation of MCTformer does. Where the curve dips on its way up, that is not the best.

    Returns:
        int: Index in 0..T-1; 0 where all values are NaN.
    """
    values = np.nan_to_num(np.asarray(values, np.float64), nan=-np.inf)
    if stop_early:
        worse = np.flatnonzero(values[1:] <= values[:-1])
        return int(worse[0]) if len(worse) else len(values) - 1
    return int(values.argmax())


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Divide where the denominator is not zero; NaN elsewhere."""
    empty = np.full(np.shape(whole), np.nan)
    return np.divide(part, whole, out=empty, where=np.asarray(whole) != 0)
