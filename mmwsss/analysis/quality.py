"""Judge label maps without ground truth: what looks wrong, and how suspicious a photograph is."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

import cv2
import numpy as np

__all__ = ['PhotoQuality', 'count_parts', 'judge_photo', 'label_agreement']

EMPTY_SHARE = 0.002
"""float: Foreground below this share of the pixels counts as empty."""
FULL_SHARE = 0.95
"""float: Foreground above this share of the pixels fills the photograph."""
MANY_PARTS = 8
"""int: A class with more parts than this is suspicious."""
DOUBTED_SCORE = 0.3
"""float: A tag whose class scores less is doubted."""
CONFIDENT_SCORE = 0.7
"""float: A class without a tag that scores more may be a forgotten tag."""
STEADY_IOU = 0.5
"""float: Masks of two views of a photograph that agree less are suspicious."""


@dataclass
class PhotoQuality:
    """What a label map, its scores and its tags say about a photograph.

    Attributes:
        flags (dict[str, str]): By kind (``'empty'``, ``'full'``, ``'parts'``, ``'missing'``, ``'doubted'``,
            ``'untagged'``, ``'unsure'``, ``'unsteady'``), what is suspicious, in words.
        suspicion (float): In [0, 1]; 0 without flags.
        parts (dict[str, int]): By class, the number of connected parts in the label map.
        areas (dict[str, float]): By class, its share of the pixels.
    """

    flags: dict[str, str] = field(default_factory=dict)
    suspicion: float = 0.
    parts: dict[str, int] = field(default_factory=dict)
    areas: dict[str, float] = field(default_factory=dict)

    def add(self, kind: str, text: str, weight: float) -> None:
        """Add a flag; suspicion becomes the probability that one of independent flags is right."""
        self.flags[kind] = text
        self.suspicion = 1 - (1 - self.suspicion) * (1 - weight)


def count_parts(region: np.ndarray, min_share: float = 0.001) -> int:
    """Count the connected parts of a region.

    Args:
        region (np.ndarray): (H, W) bool.
        min_share (float): Parts below this share of all pixels are not counted. Defaults to 0.001.

    Returns:
        int: Number of 8-connected parts.
    """
    _, _, stats, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8), connectivity=8)
    return int((stats[1:, cv2.CC_STAT_AREA] >= min_share * region.size).sum())


def label_agreement(first: np.ndarray, second: np.ndarray, num_classes: int) -> float:
    """Return how well two label maps agree.

    Args:
        first (np.ndarray): (H, W) integers; 0 is the background, 255 is undecided.
        second (np.ndarray): The same, of the same size.
        num_classes (int): Number of classes, background included.

    Returns:
        float: Mean IoU in [0, 1] of the foreground classes that are in either; 1 if neither has one. Pixels that are
        undecided in either do not count.

    Raises:
        ValueError: The sizes differ.
    """
    if first.shape != second.shape:
        raise ValueError(f'the label maps differ in size: {first.shape} and {second.shape}')
    decided = (first < num_classes) & (second < num_classes)
    pairs = np.bincount(first[decided].astype(int) * num_classes + second[decided], minlength=num_classes**2)
    counts = pairs.reshape(num_classes, num_classes)
    union = counts.sum(0) + counts.sum(1) - counts.diagonal()
    present = union[1:] > 0
    return float((counts.diagonal()[1:][present] / union[1:][present]).mean()) if present.any() else 1.


def judge_photo(labels: np.ndarray,
                classes: Sequence[str],
                scores: Optional[Mapping[str, float]] = None,
                tags: Optional[Collection[str]] = None,
                doubts: Optional[Mapping[str, Mapping[str, float]]] = None,
                agreement: Optional[Mapping[str, float]] = None) -> PhotoQuality:
    """Judge a label map by itself, by the scores of a classifier, by the tags of the photograph, and by other views.

    Args:
        labels (np.ndarray): (H, W) integers; 0 is the background, 255 is undecided.
        classes (Sequence[str]): Names of the label values, background first.
        scores (Mapping[str, float], optional): By foreground class, in [0, 1].
        tags (Collection[str], optional): The image labels, where there are any.
        doubts (Mapping, optional): The tags that held-out predictions doubt: ``'wrong'`` and ``'missing'``, each with
            scores by class. With it, tags are not compared with ``scores``, whose classifier was trained on them.
        agreement (Mapping[str, float], optional): By name of another view of the photograph, the agreement of its
            label map with this one, in [0, 1]; see :func:`label_agreement`.

    Returns:
        PhotoQuality: Flags, suspicion, parts and areas.
    """
    quality = PhotoQuality()
    values = [int(value) for value in np.unique(labels) if 0 < value < len(classes)]
    for value in values:
        region = labels == value
        quality.areas[classes[value]] = float(region.mean())
        quality.parts[classes[value]] = count_parts(region)
    _judge_shape(quality)
    if tags is not None:
        _judge_areas(quality, tags)
        if doubts is None:
            doubts = _trained_doubts(scores or {}, tags)
        _judge_tags(quality, doubts)
    elif scores and max(scores.values()) < 0.5:
        name, score = max(scores.items(), key=lambda item: item[1])
        quality.add('unsure', f'no class is likely; the best is {name}, {score:.2f}', 1 - score)
    _judge_agreement(quality, agreement or {})
    return quality


def _judge_shape(quality: PhotoQuality) -> None:
    foreground = sum(quality.areas.values())
    if foreground < EMPTY_SHARE:
        quality.add('empty', 'the mask is empty', 0.8)
    elif foreground > FULL_SHARE:
        quality.add('full', f'the mask fills {100 * foreground:.0f} % of the photograph', 0.6)
    name, parts = max(quality.parts.items(), key=lambda item: item[1], default=('', 0))
    if parts > MANY_PARTS:
        quality.add('parts', f'{name} is in {parts} parts', 0.3)


def _judge_areas(quality: PhotoQuality, tags: Collection[str]) -> None:
    missing = [name for name in tags if name not in quality.areas]
    if missing and quality.areas:
        quality.add('missing', f'tagged, but not in the mask: {", ".join(missing)}', 0.5)


def _trained_doubts(scores: Mapping[str, float], tags: Collection[str]) -> dict[str, dict[str, float]]:
    """Return the doubts of a classifier that was trained on the tags."""
    return {'wrong': {name: scores[name] for name in tags if scores.get(name, 1.) < DOUBTED_SCORE},
            'missing': {name: score for name, score in scores.items() if score > CONFIDENT_SCORE and name not in tags}}


def _judge_tags(quality: PhotoQuality, doubts: Mapping[str, Mapping[str, float]]) -> None:
    wrong, missing = doubts.get('wrong'), doubts.get('missing')
    if wrong:
        quality.add('doubted', f'the classifier doubts {_listed(wrong)}', 1 - min(wrong.values()))
    if missing:
        quality.add('untagged', f'not tagged, but likely: {_listed(missing)}', max(missing.values()))


def _judge_agreement(quality: PhotoQuality, agreement: Mapping[str, float]) -> None:
    view, iou = min(agreement.items(), key=lambda item: item[1], default=('', 1.))
    if iou < STEADY_IOU:
        quality.add('unsteady', f'the mask of the {view} view agrees by {100 * iou:.0f} % only', 1 - iou)


def _listed(scores: Mapping[str, Any]) -> str:
    return ', '.join(f'{name} ({score:.2f})' for name, score in scores.items())
