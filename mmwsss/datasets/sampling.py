"""Samplers and seeds that depend only on a seed and a position in the data stream.

A run that is killed and resumed, or that has another number of worker processes, sees the same samples and crops as
the uninterrupted run. Two parts make this possible:

* :class:`IterationSampler` and :class:`EpochSampler` number the stream of samples; the number
  (``draw``) travels with the index and the run's seed (:class:`SampleIndex`) into whichever worker
  process handles it.
* :func:`seeded_sample` seeds Python's, NumPy's and torch's global generators from ``(seed, draw)``
  while one sample goes through the pipeline, and puts their states back afterward.
"""

import hashlib
import random
from collections.abc import Iterator, Sized
from contextlib import contextmanager
from typing import Optional

import numpy as np
import torch
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from mmwsss.registry import DATA_SAMPLERS

__all__ = ['EpochSampler', 'IterationSampler', 'SampleIndex', 'derive_seed', 'iterations_per_epoch', 'seeded_sample']


class SampleIndex(int):
    """An index into a dataset that also knows its position in the stream of samples.

    It is an ``int`` wherever one is needed. Arithmetic gives plain ints (the position is lost), so the
    dataset that reads ``draw`` has to be the outermost one.

    Examples:
        >>> index = SampleIndex(7, draw=1200)
        >>> index + 1, index.draw
        (8, 1200)
    """

    draw: int
    seed: int

    def __new__(cls, index: int, draw: int, seed: int = 0) -> 'SampleIndex':
        """Build the integer and store its position.

        Args:
            index (int): Index of the sample in the dataset.
            draw (int): Number of samples that all processes together drew before this one.
            seed (int): Seed of the stream.

        Returns:
            SampleIndex: The index.
        """
        self = super().__new__(cls, index)
        self.draw = int(draw)
        self.seed = int(seed)
        return self

    def __reduce__(self) -> tuple:
        return SampleIndex, (int(self), self.draw, self.seed)

    def __repr__(self) -> str:
        return f'SampleIndex({int(self)}, draw={self.draw}, seed={self.seed})'


def derive_seed(*parts: int) -> int:
    """Hash integers into one seed: the same in every process, on every machine and Python.

    Neighboring inputs give unrelated seeds, unlike ``seed + draw``, with which run 0's sample 1
    would be treated like run 1's sample 0.

    Args:
        *parts (int): For instance a run's seed and a position.

    Returns:
        int: In ``[0, 2**63)``.
    """
    text = ':'.join(str(int(part)) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), 'big') >> 1


@contextmanager
def seeded_sample(seed: int, draw: int) -> Iterator[int]:
    """Make all random numbers in the block a function of ``(seed, draw)``.

    Seeds the global generators of ``random``, ``numpy.random`` and torch (CPU) and restores their
    states on leaving, also on an error. Generators of devices are left alone.

    Args:
        seed (int): The run's seed.
        draw (int): Position of the sample in the stream.

    Yields:
        int: The derived seed, in ``[0, 2**63)``.

    Examples:
        >>> with seeded_sample(0, 5):
        ...     first = random.random()
        >>> with seeded_sample(0, 5):
        ...     first == random.random()
        True
    """
    value = derive_seed(seed, draw)
    python_state, numpy_state = random.getstate(), np.random.get_state()
    torch_state = torch.default_generator.get_state()
    random.seed(value)
    np.random.seed([value & 0xFFFFFFFF, value >> 32])
    torch.default_generator.manual_seed(value)
    try:
        yield value
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        torch.default_generator.set_state(torch_state)


class _PermutationSampler(Sampler):
    """Base class of both samplers: one permutation of the dataset per epoch, from seed and epoch alone."""

    def __init__(self, dataset: Sized, shuffle: bool = True, seed: Optional[int] = None) -> None:
        if len(dataset) == 0:
            raise ValueError('cannot sample from an empty dataset: check ann_file, data_prefix and '
                             'the warnings above about skipped images')
        self.rank, self.world_size = get_dist_info()
        self.dataset = dataset
        self.shuffle = shuffle
        self.seed = sync_random_seed() if seed is None else int(seed)
        self.size = len(dataset)

    def _epoch_order(self, epoch: int) -> list[int]:
        """Return the dataset indices in the order of the given epoch."""
        if not self.shuffle:
            return list(range(self.size))
        generator = torch.Generator().manual_seed(derive_seed(self.seed, epoch))
        return torch.randperm(self.size, generator=generator).tolist()


@DATA_SAMPLERS.register_module()
class IterationSampler(_PermutationSampler):
    """Endless shuffled stream of :class:`SampleIndex` for iteration-based training.

    The stream is the concatenation of one permutation of the dataset per epoch; epoch e's is drawn
    from ``(seed, e)`` alone, so that any position is reached without going through the earlier ones.

    With W processes, rank r takes the positions r, r + W, r + 2W, ... A process with batch size b
    consumes b consecutive items of its own stream per iteration, so that in iteration k rank r gets
    the positions k*W*b + r + j*W for j < b, and all ranks together exactly those from k*W*b to
    (k + 1)*W*b - 1: the global batch that a single process with batch size W*b sees, each sample
    with the same ``draw``. (Contiguous shares per rank, r*b ... r*b + b - 1 within the global
    batch, would also work, but a sampler does not know b.)

    Args:
        dataset (Sized): The dataset.
        shuffle (bool): False goes through the dataset in order, over and over.
        seed (int, optional): Seed of the permutations, the same on every rank. None draws one and
            shares it over the ranks. mmengine's Runner fills in its own.

    Raises:
        ValueError: The dataset is empty.
    """

    def __init__(self, dataset: Sized, shuffle: bool = True, seed: Optional[int] = None) -> None:
        super().__init__(dataset, shuffle, seed)
        self._start = 0

    def __iter__(self) -> Iterator[SampleIndex]:
        """Yield this rank's part of the stream, from where :meth:`skip` has set it, without end."""
        position = self.rank + self._start * self.world_size
        epoch, order = -1, []
        while True:
            if position // self.size != epoch:
                epoch = position // self.size
                order = self._epoch_order(epoch)
            yield SampleIndex(order[position % self.size], draw=position, seed=self.seed)
            position += self.world_size

    def skip(self, num_samples: int) -> None:
        """Start the next iteration over the sampler behind the samples already trained on.

        mmengine's iteration loop calls this on resuming, with iterations times batch size. It costs
        nothing: no index is generated and no image read for what is skipped.

        Args:
            num_samples (int): Samples this rank consumed, counted from the start of the stream
                (absolute, not on top of an earlier call).

        Raises:
            ValueError: ``num_samples`` is negative.
        """
        if num_samples < 0:
            raise ValueError(f'num_samples must not be negative, got {num_samples}')
        self._start = int(num_samples)

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: epochs follow from the position in the stream."""

    def __len__(self) -> int:
        """Return the size of the dataset (the stream itself has no end)."""
        return self.size


@DATA_SAMPLERS.register_module()
class EpochSampler(_PermutationSampler):
    """One shuffled pass over the dataset per epoch, as :class:`SampleIndex`, for epoch-based training.

    Epoch e's order is drawn from ``(seed, e)`` alone and its samples are drawn as numbers e*N to
    (e + 1)*N - 1 of the stream, so that a run resumed at an epoch sees what the uninterrupted one
    would have. mmengine's ``DistSamplerSeedHook``, which is among its default hooks, tells the sampler
    the epoch before it begins, in runs of one process too.

    With W processes, rank r takes the positions r, r + W, r + 2W, ... of the epoch, and all ranks take
    the same number, N // W: with batch size b and the dataloader's ``drop_last=True``, iteration k
    covers the positions from k*W*b to (k + 1)*W*b - 1 on all ranks together, the global batch of a
    single process with batch size W*b, and there are N // (W*b) iterations either way. The fewer than
    W samples that are left out belong to another part of the dataset every epoch; with
    ``shuffle=False`` they are always the last ones.

    Args:
        dataset (Sized): The dataset.
        shuffle (bool): False goes through the dataset in order.
        seed (int, optional): Seed of the permutations, the same on every rank. None draws one and
            shares it over the ranks. mmengine's Runner fills in its own.

    Raises:
        ValueError: The dataset has fewer samples than there are processes.
    """

    def __init__(self, dataset: Sized, shuffle: bool = True, seed: Optional[int] = None) -> None:
        super().__init__(dataset, shuffle, seed)
        if self.size < self.world_size:
            raise ValueError(f'{self.size} samples cannot be split over {self.world_size} processes: '
                             'use fewer processes')
        self.epoch = 0

    def __iter__(self) -> Iterator[SampleIndex]:
        """Yield this rank's part of the epoch."""
        order = self._epoch_order(self.epoch)
        for position in range(self.rank, len(self) * self.world_size, self.world_size):
            yield SampleIndex(order[position], draw=self.epoch * self.size + position, seed=self.seed)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next pass.

        Args:
            epoch (int): Counted from 0.
        """
        self.epoch = int(epoch)

    def __len__(self) -> int:
        """Return the number of samples of this rank in an epoch."""
        return self.size // self.world_size


def iterations_per_epoch(num_images: int, batch_size: int, num_processes: int, drop_last: bool) -> int:
    """Return the number of batches in an epoch, as :class:`EpochSampler` divides it.

    Args:
        num_images (int): Images of all processes.
        batch_size (int): Images of all processes in a batch, a multiple of ``num_processes``.
        num_processes (int): Number of processes.
        drop_last (bool): Whether an incomplete batch at the end is left out.
    """
    images, batch = num_images // num_processes, batch_size // num_processes
    return images // batch if drop_last else -(-images // batch)
