"""Evaluation of folders of pseudo labels or of class maps."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
import torch

from mmwsss.datasets.map_files import read_cams, read_label_map
from mmwsss.models.utils import resize_maps
from mmwsss.utils import first_few

from .label_counts import LabelCounts
from .threshold_sweep import ThresholdSweep

__all__ = ['evaluate_cam_folder', 'evaluate_label_folder']

PathLike = Union[str, os.PathLike]


def evaluate_label_folder(label_dir: PathLike,
                          gt_dir: PathLike,
                          ids: Sequence[str],
                          num_classes: int,
                          ignore_index: int = 255,
                          undecided: str = 'wrong',
                          advance: Optional[Callable[[], Any]] = None) -> dict:
    """Compare label maps ``<id>.png`` with masks ``<id>.png``.

    Args:
        label_dir (str or PathLike): Folder of label maps.
        gt_dir (str or PathLike): Folder of masks.
        ids (Sequence[str]): The images.
        num_classes (int): K, with background.
        ignore_index (int): See :class:`LabelCounts`.
        undecided (str): See :class:`LabelCounts`.
        advance (Callable, optional): Called after each image, for a progress bar.

    Returns:
        dict: As of :meth:`LabelCounts.compute`.

    Raises:
        FileNotFoundError: Label maps or masks are missing; the first are listed and all counted.
        ValueError: A file is damaged or does not fit; it is named.
    """
    labels = _require(label_dir, ids, ('.png', ), 'label maps')
    masks = _require(gt_dir, ids, ('.png', ), 'masks')
    counts = LabelCounts(num_classes, ignore_index, undecided)
    for path, found, gt in _read_pairs(labels, masks, read_label_map):
        _named(path, lambda found=found, gt=gt: counts.update(found, gt))
        if advance:
            advance()
    return counts.compute()


def evaluate_cam_folder(cam_dir: PathLike,
                        gt_dir: PathLike,
                        ids: Sequence[str],
                        num_classes: int,
                        thresholds: Optional[Sequence[float]] = None,
                        ignore_index: int = 255,
                        first_key: int = 0,
                        advance: Optional[Callable[[], Any]] = None) -> dict:
    """Evaluate class maps ``<id>.npz`` or ``<id>.npy`` against masks ``<id>.png`` at every threshold.

    Smaller maps are enlarged to the size of the mask, bilinearly.

    Args:
        cam_dir (str or PathLike): Folder of class maps; see :func:`mmwsss.datasets.map_files.read_cams`.
        gt_dir (str or PathLike): Folder of masks.
        ids (Sequence[str]): The images.
        num_classes (int): K, with background.
        thresholds (Sequence[float], optional): See :class:`ThresholdSweep`.
        ignore_index (int): Value of masks that does not count.
        first_key (int): Key of the first foreground class in ``.npy`` dictionaries: 0, or 1 where key 0 is the
            background.
        advance (Callable, optional): Called after each image, for a progress bar.

    Returns:
        dict: As of :meth:`ThresholdSweep.compute`.

    Raises:
        FileNotFoundError: Class maps or masks are missing; the first are listed and all counted.
        ValueError: A file is damaged or does not fit; it is named.
    """
    if first_key not in (0, 1):
        raise ValueError(f'first_key must be 0 or 1, got {first_key}')
    cams = _require(cam_dir, ids, ('.npz', '.npy'), 'class maps')
    masks = _require(gt_dir, ids, ('.png', ), 'masks')
    sweep = ThresholdSweep(num_classes, thresholds, ignore_index)

    def read(path: Path) -> tuple:
        return read_cams(path, first_key if path.suffix == '.npy' else 0)

    for path, (maps, channels), gt in _read_pairs(cams, masks, read):
        _named(path, lambda maps=maps, channels=channels, gt=gt: sweep.update(
            _enlarged(maps, gt.shape), gt, channels.tolist()))
        if advance:
            advance()
    return sweep.compute()


def _require(folder: PathLike, ids: Sequence[str], suffixes: Sequence[str], what: str) -> list[Path]:
    """The file of each image with the first suffix there is."""
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f'folder of {what} {folder} does not exist')
    paths = [next((path for suffix in suffixes if (path := folder / f'{image_id}{suffix}').is_file()), None)
             for image_id in ids]
    missing = [image_id for image_id, path in zip(ids, paths) if path is None]
    if missing:
        raise FileNotFoundError(f'{len(missing)} of {len(ids)} {what} ({" or ".join(suffixes)}) are missing in '
                                f'{folder}: {first_few(missing)}')
    return paths


def _read_pairs(paths: Sequence[Path], masks: Sequence[Path], read: Callable) -> Iterator[tuple]:
    """Yield (path, what ``read`` gives for it, mask) in order, reading ahead in threads."""
    ahead, step = [], 16
    with ThreadPoolExecutor(min(8, 2 * (os.cpu_count() or 1))) as pool:
        for start in range(0, len(paths) + step, step):
            chunk = [(path, pool.submit(read, path), pool.submit(read_label_map, mask))
                     for path, mask in zip(paths[start:start + step], masks[start:start + step])]
            for path, content, mask in ahead:
                yield path, content.result(), mask.result()
            ahead = chunk


def _enlarged(maps: np.ndarray, size: tuple) -> np.ndarray:
    """Maps (P, h, w) at the size of the mask, in float32 where they had to be resized."""
    if not len(maps):
        return np.zeros((0, *size), np.float32)
    if maps.shape[1:] == tuple(size):
        return maps
    return resize_maps(torch.from_numpy(maps.astype(np.float32))[None], size)[0].numpy()


def _named(path: Path, action: Callable[[], None]) -> None:
    """Act; if it fails, say for which file."""
    try:
        action()
    except (ValueError, TypeError) as error:
        raise ValueError(f'{path}: {error}') from error
