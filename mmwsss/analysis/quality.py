"""Judge label maps without ground truth: what looks wrong, and how suspicious a photograph is."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

import cv2
import numpy as np

__all__ = ['PhotoQuality', 'count_parts', 'judge_photo']

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


@dataclass
class PhotoQuality:
    """What a label map, its scores and its tags say about a photograph.

    Attributes:
        flags (dict[str, str]): By kind (``'empty'``, ``'full'``, ``'parts'``, ``'missing'``, ``'doubted'``,
            ``'untagged'``, ``'unsure'``), what is suspicious, in words.
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


def judge_photo(labels: np.ndarray,
                classes: Sequence[str],
                scores: Optional[Mapping[str, float]] = None,
                tags: Optional[Collection[str]] = None) -> PhotoQuality:
    """Judge a label map by itself, by the scores of a classifier and by the tags of the photograph.

    Args:
        labels (np.ndarray): (H, W) integers; 0 is the background, 255 is undecided.
        classes (Sequence[str]): Names of the label values, background first.
        scores (Mapping[str, float], optional): By foreground class, in [0, 1].
        tags (Collection[str], optional): The image labels, where there are any.

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
        _judge_tags(quality, scores or {}, tags, set(quality.areas))
    elif scores and max(scores.values()) < 0.5:
        name, score = max(scores.items(), key=lambda item: item[1])
        quality.add('unsure', f'no class is likely; the best is {name}, {score:.2f}', 1 - score)
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


def _judge_tags(quality: PhotoQuality, scores: Mapping[str, float], tags: Collection[str], found: set[str]) -> None:
    missing = [name for name in tags if name not in found]
    if missing and found:
        quality.add('missing', f'tagged, but not in the mask: {", ".join(missing)}', 0.5)
    doubted = {name: scores[name] for name in tags if scores.get(name, 1.) < DOUBTED_SCORE}
    if doubted:
        quality.add('doubted', f'the classifier doubts {_listed(doubted)}', 1 - min(doubted.values()))
    untagged = {name: score for name, score in scores.items() if score > CONFIDENT_SCORE and name not in tags}
    if untagged:
        quality.add('untagged', f'not tagged, but likely: {_listed(untagged)}', max(untagged.values()))


def _listed(scores: Mapping[str, Any]) -> str:
    return ', '.join(f'{name} ({score:.2f})' for name, score in scores.items())
