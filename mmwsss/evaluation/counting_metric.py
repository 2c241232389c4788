"""Base class of metrics that count images one by one, in one process or several."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from mmengine.dist import get_dist_info
from mmengine.evaluator import BaseMetric

__all__ = ['CountingMetric', 'ImageMean', 'image_name', 'read_field']


class CountingMetric(BaseMetric):
    """Base of metrics whose state is a tuple of accumulators that can be merged.

    Nothing is kept per image, and ranks exchange accumulators only. Numbers of several processes equal those of one:
    the images with which mmengine's ``DefaultSampler`` fills up the last round are not counted.

    Subclasses define :meth:`new_counts`, :meth:`count` and ``compute_metrics``, which gets one tuple per rank and may
    join them with :meth:`merged`.
    """

    _counted: tuple
    _held_back: tuple

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._reset()

    @abstractmethod
    def new_counts(self) -> tuple:
        """Return empty accumulators, each with a method ``merge(other)``."""

    @abstractmethod
    def count(self, sample: dict) -> tuple:
        """Return the accumulators of one image.

        Args:
            sample (dict): A data sample as a dict.
        """

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count a batch.

        Args:
            data_batch (Any): Not used.
            data_samples (Sequence[dict]): Samples as dicts.
        """
        for sample in data_samples:
            self._count_held_back()
            self._held_back = self.count(sample)
            self._num_seen += 1

    def evaluate(self, size: int) -> dict:
        """Gather the counts of all ranks and compute the metrics.

        Args:
            size (int): Number of images of the dataset, by which fill-up images are recognized.

        Returns:
            dict[str, float]: Prefixed metrics, on every rank.

        Raises:
            ValueError: This rank saw more images than its share and one to fill up.
        """
        rank, world_size = get_dist_info()
        share = max(0, math.ceil((size - rank) / world_size))
        if self._num_seen > share + 1:
            raise ValueError(
                f'rank {rank} of {world_size} saw {self._num_seen} of {size} images, its share is '
                f'{share}: let the dataloader use a sampler that splits the dataset over the ranks, '
                "such as sampler=dict(type='DefaultSampler', shuffle=False)")
        if self._num_seen <= share:
            self._count_held_back()
        self.results = [self._counted or self.new_counts()]
        self._reset()
        return super().evaluate(world_size)

    def merged(self, results: Sequence[tuple]) -> tuple:
        """Merge the accumulators of all ranks.

        Args:
            results (Sequence[tuple]): A tuple of accumulators per rank.

        Returns:
            tuple: New accumulators with all that was counted.
        """
        totals = self.new_counts()
        for counts in results:
            self._add(totals, counts)
        return totals

    def _reset(self) -> None:
        """Clear all counts."""
        self._counted = ()
        self._held_back = ()
        self._num_seen = 0

    def _count_held_back(self) -> None:
        """Add the last image, held back until it is known not to fill up the sampler's last round."""
        if self._held_back:
            self._counted = self._counted or self.new_counts()
            self._add(self._counted, self._held_back)
            self._held_back = ()

    @staticmethod
    def _add(totals: tuple, counts: tuple) -> None:
        for total, part in zip(totals, counts):
            total.merge(part)


class ImageMean:
    """Mean of a score over images, independent of the order of images and processes.

    Each score is kept, and the sum is rounded once.
    """

    def __init__(self) -> None:
        self._scores: list[float] = []

    def update(self, score: float) -> None:
        """Add the score of an image, in 0..1."""
        self._scores.append(float(score))

    def merge(self, other: 'ImageMean') -> None:
        """Add the images of another accumulator."""
        self._scores += other._scores

    def __len__(self) -> int:
        return len(self._scores)

    def compute(self) -> float:
        """Return the mean in percent; NaN without images."""
        return 100 * math.fsum(self._scores) / len(self._scores) if self._scores else float('nan')


def image_name(sample: dict) -> str:
    """Return the path of a sample's image for messages."""
    return str(sample.get('img_path', 'a sample'))


def read_field(sample: dict, field: str, hint: str) -> Any:
    """Return a field that a data sample must have.

    Args:
        sample (dict): The sample.
        field (str): Key.
        hint (str): Advice for the error if the field is missing.

    Returns:
        Any: The entry.

    Raises:
        KeyError: The sample has no such field; the message names the image, the hint and the fields that exist.
    """
    if field not in sample:
        raise KeyError(f'{image_name(sample)} has no {field!r}: {hint}; it has '
                       f'{sorted(sample)}')
    return sample[field]
