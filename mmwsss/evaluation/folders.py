"""Evaluate folders of pseudo labels or of class activation maps (CAMs)."""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
import torch

from mmwsss.datasets.map_files import read_cams, read_label_map
from mmwsss.models.utils import resize_maps
from mmwsss.utils import first_few

from .results import EvaluationResult
from .threshold_sweep import ThresholdSweep

__all__ = ['LabelCounts', 'evaluate_cam_folder', 'evaluate_label_folder', 'first_key_contradiction']

PathLike = Union[str, os.PathLike]


class LabelCounts:
    """Pixel counts of label maps, some of whose pixels may be undecided (``ignore_index``).

    Args:
        num_classes (int): K, with background, which is class 0.
        ignore_index (int): Value of pixels that do not count in the ground truth, and that a label map
            leaves undecided. Defaults to 255.
        undecided (str): How undecided pixels count. ``'wrong'``: as missed by their true class; ``'skip'``: not at
            all, so that only decided pixels are judged.

    Raises:
        ValueError: ``num_classes`` is below 2, or ``undecided`` is unknown.
    """

    def __init__(self, num_classes: int, ignore_index: int = 255, undecided: str = 'wrong') -> None:
        if num_classes < 2:
            raise ValueError(f'num_classes counts background and at least one class, so it is 2 or more, got '
                             f'{num_classes}')
        if undecided not in ('wrong', 'skip'):
            raise ValueError(f"undecided must be 'wrong' or 'skip', got {undecided!r}")
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.undecided = undecided
        # Rows: ground truth; columns: label, the last one for undecided pixels.
        self._confusion = np.zeros((num_classes, num_classes + 1), np.int64)
        self._ignored = 0

    def update(self, labels: np.ndarray, gt: np.ndarray) -> None:
        """Count one image.

        Args:
            labels (np.ndarray): (H, W) integers in 0..K-1 or ``ignore_index``.
            gt (np.ndarray): The same for the ground truth.

        Raises:
            TypeError: Either is not of an integer type.
            ValueError: Sizes differ, or either holds a value that is no class.
        """
        for name, values in (('labels', labels), ('gt', gt)):
            if values.dtype.kind not in 'iu':
                raise TypeError(f'{name} must hold integer class indices, got {values.dtype}')
        if labels.shape != gt.shape:
            raise ValueError(f'the label map is {labels.shape}, its ground truth {gt.shape}')
        valid = gt != self.ignore_index
        self._check('gt', gt[valid])
        self._check('labels', labels[labels != self.ignore_index])
        self._ignored += int(np.count_nonzero(~valid))
        gt, labels = gt[valid].astype(np.int64), labels[valid].astype(np.int64)
        labels[labels == self.ignore_index] = self.num_classes
        joint = np.bincount(gt * (self.num_classes + 1) + labels, minlength=self._confusion.size)
        self._confusion += joint.reshape(self._confusion.shape)

    def result(self, classes: Sequence[str], **details: Any) -> EvaluationResult:
        """Compute the rates.

        Args:
            classes (Sequence[str]): Names of the K classes, background first.
            **details (Any): Further numbers for :meth:`EvaluationResult.to_dict`.

        Returns:
            EvaluationResult: Without thresholds; ``details['undecided']`` is the share of undecided pixels in percent.
        """
        decided, undecided = self._confusion[:, :-1], self._confusion[:, -1]
        truth = decided.sum(1) + (undecided if self.undecided == 'wrong' else 0)
        total = self._confusion.sum()
        share = 100 * float(undecided.sum() / total) if total else float('nan')
        return EvaluationResult(np.diag(decided), decided.sum(0), truth, classes, ignored=self._ignored,
                                ignore_index=self.ignore_index, undecided=share, **details)

    def _check(self, name: str, values: np.ndarray) -> None:
        """Refuse values that are no class."""
        if values.size and not 0 <= values.min() <= values.max() < self.num_classes:
            wrong = np.unique(values[(values < 0) | (values >= self.num_classes)])[:5].tolist()
            raise ValueError(f'{name} hold {wrong}, allowed are 0 to {self.num_classes - 1} and '
                             f'{self.ignore_index}')


def evaluate_label_folder(label_dir: PathLike,
                          gt_dir: PathLike,
                          ids: Sequence[str],
                          classes: Sequence[str],
                          ignore_index: int = 255,
                          undecided: str = 'wrong',
                          advance: Optional[Callable[[], Any]] = None,
                          read_mask: Callable[[Path], np.ndarray] = read_label_map) -> EvaluationResult:
    """Compare label maps ``<id>.png`` with masks ``<id>.png``.

    Args:
        label_dir (str or PathLike): Folder of label maps.
        gt_dir (str or PathLike): Folder of masks.
        ids (Sequence[str]): The images.
        classes (Sequence[str]): Names of the K classes, background first.
        ignore_index (int): See :class:`LabelCounts`.
        undecided (str): See :class:`LabelCounts`.
        advance (Callable, optional): Called after each image, for a progress bar.
        read_mask (Callable): Reads a mask; may renumber its classes as the labels have them.

    Returns:
        EvaluationResult: See :meth:`LabelCounts.result`, with ``details['num_images']``.

    Raises:
        FileNotFoundError: Label maps or masks are missing; the first are listed and all counted.
        ValueError: A file is damaged or does not fit (it is named), or the masks hold no class to evaluate.
    """
    labels = _require(label_dir, ids, ('.png', ), 'label maps')
    masks = _require(gt_dir, ids, ('.png', ), 'masks')
    counts = LabelCounts(len(classes), ignore_index, undecided)
    for path, mask, found, gt in _read_pairs(labels, masks, read_label_map, read_mask):
        _named(path, mask, partial(counts.update, found, gt))
        if advance:
            advance()
    return _with_classes(counts.result(classes, num_images=len(ids)), gt_dir)


def evaluate_cam_folder(cam_dir: PathLike,
                        gt_dir: PathLike,
                        ids: Sequence[str],
                        classes: Sequence[str],
                        thresholds: Optional[Sequence[float]] = None,
                        ignore_index: int = 255,
                        first_key: Optional[int] = None,
                        advance: Optional[Callable[[], Any]] = None,
                        read_mask: Callable[[Path], np.ndarray] = read_label_map) -> EvaluationResult:
    """Evaluate CAMs ``<id>.npz`` or ``<id>.npy`` against masks ``<id>.png`` at every threshold.

    Smaller maps are enlarged to the size of the mask, bilinearly.

    Args:
        cam_dir (str or PathLike): Folder of CAMs; see :func:`mmwsss.datasets.map_files.read_cams`.
        gt_dir (str or PathLike): Folder of masks.
        ids (Sequence[str]): The images.
        classes (Sequence[str]): Names of the K classes, background first.
        thresholds (Sequence[float], optional): See :class:`ThresholdSweep`.
        ignore_index (int): Mask value that does not count.
        first_key (int, optional): Key of the first foreground class in ``.npy`` dictionaries: 0, or 1 where key 0 is
            the background. By default 0, unless the masks contradict it; then the folder is refused.
        advance (Callable, optional): Called after each image, for a progress bar.
        read_mask (Callable): Reads a mask; may renumber its classes as the labels have them.

    Returns:
        EvaluationResult: See :meth:`ThresholdSweep.result`, with ``details['num_images']``.

    Raises:
        FileNotFoundError: Class maps or masks are missing; the first are listed and all counted.
        ValueError: A file is damaged, holds NaN or does not fit (it is named), the masks hold no class to evaluate,
            or key 0 looks like a background plane and ``first_key`` is not given.
    """
    if first_key not in (0, 1, None):
        raise ValueError(f'first_key must be 0 or 1, got {first_key}')
    cams = _require(cam_dir, ids, ('.npz', '.npy'), 'CAMs')
    masks = _require(gt_dir, ids, ('.png', ), 'masks')
    sweep = ThresholdSweep(len(classes), thresholds, ignore_index)
    keys, present = [], []
    for path, mask, (maps, channels), gt in _read_pairs(cams, masks, read_cams, read_mask):
        if path.suffix == '.npy':
            keys.append(channels[maps.any((1, 2))].tolist())
            present.append(set(np.unique(gt).tolist()) - {0, ignore_index})
            kept = channels >= (first_key or 0)
            maps, channels = maps[kept], channels[kept] - (first_key or 0)
            _check_last_key(path, channels, len(classes) - 1, first_key)
        _named(path, mask, partial(_update, sweep, maps, channels, gt))
        if advance:
            advance()
    result = _with_classes(sweep.result(classes, num_images=len(ids)), gt_dir)
    contradiction = first_key_contradiction(keys, present)
    if first_key is None and contradiction:
        raise ValueError(f'{cam_dir}: {contradiction}')
    return result


def first_key_contradiction(keys: Sequence[Collection[int]], present: Sequence[Collection[int]]) -> str:
    """Check whether key 0 of class-map files looks like a background plane instead of the first class.

    A background plane is in every file. If so, and if the other keys fit the classes of the images better when they
    are counted from 1, reading key 0 as the first class would shift every class by one.

    Args:
        keys (Sequence[Collection[int]]): Keys of the maps of each image that are not zero everywhere.
        present (Sequence[Collection[int]]): Classes of each image, from its mask or its image labels; 1 is the first
            foreground class.

    Returns:
        str: What contradicts and what to do, or an empty string.

    Examples:
        >>> first_key_contradiction([[0, 2], [0, 5]], [{2}, {5}])[:55]
        'key 0 is in all 2 files and looks like a background pla'
        >>> first_key_contradiction([[0, 2], [4]], [{1, 3}, {5}])
        ''
    """
    if not keys or not all(0 in found for found in keys):
        return ''
    pairs = [(set(found), set(classes)) for found, classes in zip(keys, present) if len(classes)]
    as_class = sum({key + 1 for key in found} == classes for found, classes in pairs)
    as_background = sum(found - {0} == classes for found, classes in pairs)
    if as_background <= as_class:
        return ''
    return (f'key 0 is in all {len(keys)} files and looks like a background plane: the keys fit the classes of '
            f'{as_background} of {len(pairs)} images if it is the background, and of {as_class} if it is the first '
            'class. Say which it is: first_key=1 (--first-key 1) for a background plane, 0 for a class')


def _check_last_key(path: Path, channels: np.ndarray, num_foreground: int, first_key: Optional[int]) -> None:
    """Refuse keys beyond the last class, with a hint at a background plane."""
    if len(channels) and channels[-1] >= num_foreground:
        hint = '' if first_key else '; if key 0 is a background plane, use first_key=1 (--first-key 1)'
        last = channels[-1] + (first_key or 0)
        raise ValueError(f'{path} has the class key {last}, but the keys of the {num_foreground} foreground classes '
                         f'are {first_key or 0} to {num_foreground - 1 + (first_key or 0)}{hint}')


def _with_classes(result: EvaluationResult, gt_dir: PathLike) -> EvaluationResult:
    """Return a result, unless the masks hold no foreground class."""
    if not result.has_foreground:
        raise ValueError(f'{gt_dir}: {result.notes[0]}')
    return result


def _require(folder: PathLike, ids: Sequence[str], suffixes: Sequence[str], what: str) -> list[Path]:
    """Return the file of each image, with the first of the suffixes that exists."""
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f'folder of {what} {folder} does not exist')
    if not len(ids):
        raise ValueError('there are no images to evaluate: the list of image ids is empty')
    paths = [next((path for suffix in suffixes if (path := folder / f'{image_id}{suffix}').is_file()), None)
             for image_id in ids]
    missing = [image_id for image_id, path in zip(ids, paths) if path is None]
    if missing:
        raise FileNotFoundError(f'{len(missing)} of {len(ids)} {what} ({" or ".join(suffixes)}) are missing in '
                                f'{folder}: {first_few(missing)}')
    return paths


def _read_pairs(paths: Sequence[Path], masks: Sequence[Path], read: Callable, read_mask: Callable) -> Iterator[tuple]:
    """Yield (path, path of the mask, result of ``read``, mask) in order, reading ahead in threads."""
    ahead: list = []
    step = 16
    with ThreadPoolExecutor(min(8, 2 * (os.cpu_count() or 1))) as pool:
        for start in range(0, len(paths) + step, step):
            chunk = [(path, mask, pool.submit(read, path), pool.submit(read_mask, mask))
                     for path, mask in zip(paths[start:start + step], masks[start:start + step])]
            for path, mask, content, gt in ahead:
                yield path, mask, content.result(), gt.result()
            ahead = chunk


def _update(sweep: ThresholdSweep, maps: np.ndarray, channels: np.ndarray, gt: np.ndarray) -> None:
    """Count the CAMs of an image at the size of its mask."""
    sweep.update(_enlarged(maps, gt.shape), gt, channels.tolist())


def _enlarged(maps: np.ndarray, size: tuple) -> np.ndarray:
    """Resize maps (P, h, w) to the size (H, W) of the mask, in float32 where the sizes differ."""
    if not len(maps):
        return np.zeros((0, *size), np.float32)
    if maps.shape[1:] == tuple(size):
        return maps
    if maps.shape[1:] == tuple(size)[::-1]:
        raise ValueError(f'the CAMs are {maps.shape[1:]}, the mask {tuple(size)}: one of them is rotated; check '
                         'the EXIF orientation of the image')
    return resize_maps(torch.from_numpy(maps.astype(np.float32))[None], size)[0].numpy()


def _named(path: Path, mask: Path, action: Callable[[], None]) -> None:
    """Run a step; if it fails, name the file and its mask."""
    try:
        action()
    except (ValueError, TypeError) as error:
        raise ValueError(f'{path}: {error} (its mask: {mask})') from error
