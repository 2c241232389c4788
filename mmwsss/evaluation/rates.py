"""From pixel counts to IoU, false-positive and false-negative rates, precision and recall."""

import numpy as np

__all__ = ['class_rates', 'mean_over_classes', 'summarize_rates', 'RATE_NAMES']

#: The per-class rates, in the order in which tables show them.
RATE_NAMES = ('IoU', 'FP', 'FN', 'precision', 'recall')


def class_rates(hits: np.ndarray, predicted: np.ndarray, truth: np.ndarray) -> dict:
    """Rates of each class from its pixel counts.

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
        'IoU': _percent(hits, union),
        'FP': _percent(predicted - hits, union),
        'FN': _percent(truth - hits, union),
        'precision': _percent(hits, predicted),
        'recall': _percent(hits, truth),
    }


def mean_over_classes(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis, leaving out NaN (classes that never occur).

    Args:
        values (np.ndarray): (..., K) float.

    Returns:
        np.ndarray: (...) float64; NaN where every class is NaN.
    """
    known = np.isfinite(values)
    return _ratio(np.where(known, values, 0).sum(-1), known.sum(-1))


def _percent(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return 100 * _ratio(part, whole)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    empty = np.full(np.shape(whole), np.nan)
    return np.divide(part, whole, out=empty, where=np.asarray(whole) != 0)


def summarize_rates(rates: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Name the rates of classes and add their means over classes.

    Args:
        rates (dict[str, np.ndarray]): What :func:`class_rates` gives, (..., K) in percent.

    Returns:
        dict[str, np.ndarray]: ``IoU``, ``class_FP``, ``class_FN``, ``precision``, ``recall`` (..., K); ``mIoU``,
        ``FP``, ``FN``, ``mPrecision``, ``mRecall`` (...).
    """
    mean = {name: mean_over_classes(rate) for name, rate in rates.items()}
    return {
        'IoU': rates['IoU'],
        'class_FP': rates['FP'],
        'class_FN': rates['FN'],
        'precision': rates['precision'],
        'recall': rates['recall'],
        'mIoU': mean['IoU'],
        'FP': mean['FP'],
        'FN': mean['FN'],
        'mPrecision': mean['precision'],
        'mRecall': mean['recall'],
    }
