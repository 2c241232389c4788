"""The classification set for pretraining the small backbones: one object per picture, many classes."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Optional, Union

import numpy as np

from mmwsss.sample_set.backgrounds import BACKGROUNDS, draw_background, overlay
from mmwsss.sample_set.folder import draw_all, fill_folder, write_picture
from mmwsss.sample_set.scene import draw_sprite, finish_picture, scatter_clutter

from .shapes import PRETRAINING_SHAPES

__all__ = ['PRETRAINING_CLASSES', 'draw_single', 'write_pretraining_set']

PRETRAINING_CLASSES = tuple(PRETRAINING_SHAPES)
_FORMAT = 1
_SPLITS = ('train', 'val')
_FILL = (0.50, 0.95)
Fill = tuple[float, float]


def draw_single(name: str, side: int, rng: np.random.Generator, fill: Fill = _FILL) -> np.ndarray:
    """Draw a square picture of one object among clutter.

    Args:
        name: One of ``PRETRAINING_CLASSES``.
        side: Edge in pixels.
        rng: Source of randomness.
        fill: Limits of the object's longer side, as shares of the edge.

    Returns:
        uint8 (side, side, 3), BGR.

    Raises:
        ValueError: ``name`` is unknown.
    """
    if name not in PRETRAINING_SHAPES:
        raise ValueError(f'class {name!r} is unknown, choose one of {list(PRETRAINING_CLASSES)}')
    kinds = list(BACKGROUNDS)
    image, _ = draw_background(kinds[rng.integers(len(kinds))], (side, side), rng)
    scatter_clutter(image, int(rng.integers(0, 7)), rng)
    color, coverage = draw_sprite(PRETRAINING_SHAPES[name], side * rng.uniform(*fill), rng)
    h, w = coverage.shape
    x, y = (int(rng.uniform(min(0, side - edge) - 0.08 * edge, max(0, side - edge) + 0.08 * edge)) for edge in (w, h))
    overlay(image, color, coverage, x, y)
    if rng.random() < 0.3:
        scatter_clutter(image, int(rng.integers(1, 3)), rng, (0.06, 0.2))
    return finish_picture(image, rng)


def _draw_one(folder: Path, seed: int, side: int, fill: Fill, job: tuple) -> None:
    split, label, index = job
    name = PRETRAINING_CLASSES[label]
    image = draw_single(name, side, np.random.default_rng([seed, 2 + split, label, index]), fill)
    write_picture(folder / _SPLITS[split] / name / f'{index:05d}.jpg', image)


def _fill(folder: Path, counts: tuple, seed: int, side: int, fill: Fill, nproc: Optional[int],
          progress: Callable[[Iterable, int], Iterable]) -> None:
    for split in _SPLITS:
        for name in PRETRAINING_CLASSES:
            (folder / split / name).mkdir(parents=True)
    jobs = [(split, label, index) for split, count in enumerate(counts) for label in range(len(PRETRAINING_CLASSES))
            for index in range(count)]
    for _ in progress(draw_all(partial(_draw_one, folder, seed, side, fill), jobs, nproc), len(jobs)):
        pass


def write_pretraining_set(out_dir: Union[str, Path],
                       train_per_class: int = 300,
                       val_per_class: int = 10,
                       side: int = 64,
                       seed: int = 1,
                       nproc: Optional[int] = None,
                       progress: Callable[[Iterable, int], Iterable] = lambda items, total: items,
                       fill: Fill = _FILL) -> bool:
    """Make the pretraining set, ``{train,val}/<class>/<index>.jpg``, unless it is there already.

    Args:
        out_dir: Folder to make.
        train_per_class: Training images of each of the ``PRETRAINING_CLASSES``.
        val_per_class: Validation images of each class.
        side: Edge of the square pictures in pixels.
        seed: Seed of all choices, at least 0. Its streams differ from those of the sample set for every seed.
        nproc: Processes that draw; ``None`` takes one per core.
        progress: Wraps the iterable of finished images, given their number; for a progress bar.
        fill: Limits of the object's longer side, as shares of the edge.

    Returns:
        True if the set was made, False if it was there already.

    Raises:
        ValueError: A count or the side is too small or the seed is negative.
        FileExistsError: ``out_dir`` holds something else, or a set with other settings.
    """
    if min(train_per_class, val_per_class) < 1 or side < 32:
        raise ValueError('train_per_class and val_per_class must be at least 1 and side at least 32, got '
                         f'{train_per_class}, {val_per_class} and {side}')
    if seed < 0:
        raise ValueError(f'seed must be at least 0, got {seed}')
    settings = {'set': 'sample_pretrain', 'format': _FORMAT, 'train_per_class': train_per_class,
                'val_per_class': val_per_class, 'side': side, 'seed': seed, 'fill': list(fill)}
    return fill_folder(
        out_dir, settings,
        lambda folder: _fill(folder, (train_per_class, val_per_class), seed, side, fill, nproc, progress))
