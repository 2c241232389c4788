"""Choose the background score of class activation maps without masks."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

__all__ = ['ThresholdChoice', 'choose_threshold', 'feature_separation', 'labels_at']

THRESHOLDS = tuple(round(0.05 * k, 2) for k in range(1, 17))
"""tuple[float, ...]: 0.05 to 0.8 in steps of 0.05."""


@dataclass(frozen=True)
class ThresholdChoice:
    """A threshold and why it was chosen.

    Attributes:
        threshold (float): The background score.
        thresholds (tuple[float, ...]): All that were tried.
        separation (tuple[float, ...]): For each, the mean of :func:`feature_separation` over the photographs.
        areas (tuple[float, ...]): For each, the mean share of foreground pixels.
    """

    threshold: float
    thresholds: tuple[float, ...]
    separation: tuple[float, ...]
    areas: tuple[float, ...]

    @property
    def reason(self) -> str:
        """One sentence for the user."""
        place = self.thresholds.index(self.threshold)
        return (f'{self.threshold:g} is the median of the scores at which foreground and background of a photograph '
                'differ most in the features of the backbone. On average, the division explains '
                f'{100 * self.separation[place]:.1f} % of their variance ({100 * self.separation[0]:.1f} % at '
                f'{self.thresholds[0]:g}, {100 * self.separation[-1]:.1f} % at {self.thresholds[-1]:g}); '
                f'{100 * self.areas[place]:.0f} % of the pixels are foreground.')


def labels_at(cams: np.ndarray, values: Sequence[int], threshold: float) -> np.ndarray:
    """Return the label map of class activation maps at a threshold.

    Args:
        cams (np.ndarray): (P, H, W) in [0, 1].
        values (Sequence[int]): Label value of each map.
        threshold (float): Pixels where no map exceeds it are background.

    Returns:
        np.ndarray: (H, W) uint8, 0 for the background.
    """
    if not len(cams):
        return np.zeros(cams.shape[1:], np.uint8)
    labels = np.asarray(values, np.uint8)[cams.argmax(axis=0)]
    labels[cams.max(axis=0) <= threshold] = 0
    return labels


def feature_separation(features: np.ndarray, foreground: np.ndarray) -> float:
    """Return the share of the variance of features that a division into foreground and background explains.

    It is Otsu's criterion (IEEE SMC 1979) with features of patches in place of gray values.

    Args:
        features (np.ndarray): (D, h, w) float, features of the patches.
        foreground (np.ndarray): (H, W) bool; resized to the patches, which belong to both sides in part.

    Returns:
        float: In [0, 1]; 0 if everything is foreground or everything is background.
    """
    height, width = features.shape[1:]
    weights = cv2.resize(foreground.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA).ravel()
    vectors = features.reshape(len(features), -1).astype(np.float64)
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=0), 1e-12)
    share = weights.mean()
    if not 0 < share < 1:
        return 0.
    inside = (vectors * weights).mean(axis=1) / share
    outside = (vectors * (1 - weights)).mean(axis=1) / (1 - share)
    total = vectors.var(axis=1).sum()
    return float(share * (1 - share) * ((inside - outside)**2).sum() / max(total, 1e-12))


def choose_threshold(separation: np.ndarray, areas: np.ndarray,
                     thresholds: Sequence[float] = THRESHOLDS) -> ThresholdChoice:
    """Choose the median of the photographs' own best thresholds, those with the largest separation.

    The mean separation of a few dozen photographs hardly differs between neighboring thresholds, and single photographs
    that divide badly decide it; the median is not moved by them. Photographs that no threshold divides do not count. Of
    two medians, the lower one is taken.

    Args:
        separation (np.ndarray): (N, T) from :func:`feature_separation`, for N photographs and T thresholds.
        areas (np.ndarray): (N, T) shares of foreground pixels.
        thresholds (Sequence[float]): T thresholds, increasing.

    Returns:
        ThresholdChoice: The choice.

    Raises:
        ValueError: There is no photograph, or the sizes do not fit.
    """
    if separation.ndim != 2 or separation.shape != areas.shape or separation.shape[1] != len(thresholds):
        raise ValueError(f'separation {separation.shape} and areas {areas.shape} must be (N, {len(thresholds)})')
    if not len(separation):
        raise ValueError('there is no photograph to choose a threshold with')
    divided = separation[separation.any(axis=1)] if separation.any() else separation
    chosen = int(np.quantile(divided.argmax(axis=1), .5, method='lower'))
    return ThresholdChoice(float(thresholds[chosen]), tuple(map(float, thresholds)),
                           tuple(separation.mean(axis=0).tolist()), tuple(areas.mean(axis=0).tolist()))
