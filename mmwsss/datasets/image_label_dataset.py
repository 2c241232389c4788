"""A dataset wrapper that adds image-level labels and hides the masks."""

import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
from mmcv.transforms import LoadAnnotations
from mmengine.dataset import BaseDataset, Compose, force_full_init
from mmengine.logging import print_log

from mmwsss.registry import DATASETS
from mmwsss.utils import first_few, why_unreadable

from .image_labels import ImageLabels
from .label_sources import labels_from_mask_files
from .wrapper import SegDatasetWrapper

__all__ = ['ImageLabelDataset']

_CHOICES = dict(empty=('skip', 'keep', 'error'), missing=('error', 'skip'))


@DATASETS.register_module()
class ImageLabelDataset(SegDatasetWrapper):
    """Wrapper around any mmseg dataset that adds image-level labels and hides the masks.

    Every sample gets ``gt_label``, a float32 multi-hot vector (C,) over the foreground classes of the wrapped dataset
    (its ``metainfo['classes']`` without the background, in that order), and ``image_id``. Unless ``show_masks``,
    nothing of the masks reaches the pipeline, and no mask file needs to exist.

    Args:
        dataset (dict or BaseDataset): Any mmseg dataset, or its config.
        label_file (str, optional): Canonical JSON (:class:`~mmwsss.datasets.ImageLabels`) or a pickled
            ``cls_labels*.npy``; relative paths start at the wrapped dataset's ``data_root``, if it has one.
        labels_from_masks (bool): Read the labels of images that ``label_file`` does not have (of all images, where
            there is no such file) from the wrapped dataset's masks.
        show_masks (bool): Let the pipeline load masks (for validation).
        empty (str, optional): What to do with images that show no class: ``skip`` (one warning counts them), ``keep``
            or ``error``. None skips them in training and keeps them where masks are shown.
        missing (str): What to do with images that the label file does not have: ``error`` or ``skip``.
        verify_images (bool): Decode every image once at the start and list those that cannot be read. Without it, an
            unreadable image is named when its turn comes.
        pipeline (Sequence, optional): Transforms. None uses the pipeline of ``dataset``.
        seed (int, optional): Seed of the pipeline's randomness; see :class:`~mmwsss.datasets.SegDatasetWrapper`.
        test_mode (bool, optional): See :class:`~mmwsss.datasets.SegDatasetWrapper`.
        max_refetch (int): See :class:`~mmwsss.datasets.SegDatasetWrapper`.
        lazy_init (bool): Read lists and labels at first use.

    Raises:
        FileNotFoundError: Label file, image folder, split list, images, or masks to be shown do not exist.
        ValueError: The labels do not fit the dataset; the pipeline loads masks although they are hidden; or an argument
            is none of its choices.
    """

    def __init__(self,
                 dataset: Union[dict, BaseDataset],
                 label_file: Optional[str] = None,
                 labels_from_masks: bool = False,
                 show_masks: bool = False,
                 empty: Optional[str] = None,
                 missing: str = 'error',
                 verify_images: bool = False,
                 pipeline: Optional[Sequence[Union[dict, Callable]]] = None,
                 seed: Optional[int] = None,
                 test_mode: Optional[bool] = None,
                 max_refetch: int = 100,
                 lazy_init: bool = False) -> None:
        self.empty = empty or ('keep' if show_masks else 'skip')
        self.missing = missing
        for key, allowed in _CHOICES.items():
            if getattr(self, key) not in allowed:
                raise ValueError(f'{key} must be one of {allowed}, got {getattr(self, key)!r}')
        if label_file is None and not labels_from_masks:
            raise ValueError('no image-level labels: give label_file (tools/dataset_converters/image_labels.py makes '
                             'one), or set labels_from_masks=True if the dataset has masks')
        self.label_file = label_file
        self.labels_from_masks = labels_from_masks
        self.show_masks = show_masks
        self.verify_images = verify_images
        self._labels = np.zeros((0, 0), dtype=np.uint8)
        super().__init__(dataset, pipeline, seed, test_mode, max_refetch, lazy_init)
        if not show_masks and _loads_masks(self.pipeline):
            raise ValueError('the pipeline loads masks (LoadAnnotations), but ImageLabelDataset hides them: take the '
                             'step out for training, or set show_masks=True for validation')

    def select(self, infos: list[dict]) -> np.ndarray:
        """Read the labels and choose the images that have some; see the base class."""
        if self.show_masks:
            self._require_files([info['seg_map_path'] for info in infos if 'seg_map_path' in info], 'masks')
        labels = self._read_labels(infos)
        ids = [info['image_id'] for info in infos]
        kept = self._with_entry(ids, labels)
        matrix = labels.multi_hot_matrix([ids[k] for k in kept], self.classes, self._dropped_classes())
        chosen = self._with_label([ids[k] for k in kept], matrix)
        kept, self._labels = kept[chosen], matrix[chosen]
        if self.verify_images:
            self._require_readable([infos[k]['img_path'] for k in kept])
        self._warn_if_nothing_can_be_learned(len(ids) - len(kept))
        unseen = [name for name, count in zip(self.classes, self._labels.sum(0)) if count == 0]
        if unseen and not self.show_masks:
            _warn(f'no image of {self.origin} shows {len(unseen)} of the {len(self.classes)} classes: '
                  f'{first_few(unseen)}')
        return kept

    def amend(self, info: dict, index: int) -> dict:
        """Add the label vector and hide the mask; see the base class."""
        info['gt_label'] = self._labels[index].astype(np.float32)
        if not self.show_masks:
            info.pop('seg_map_path', None)
            info['seg_fields'] = []
        return info

    @property
    @force_full_init
    def gt_labels(self) -> np.ndarray:
        """The label vectors of all samples in order: uint8 (N, C) in {0, 1}."""
        return self._labels.copy()

    @force_full_init
    def get_cat_ids(self, index: int) -> list[int]:
        """Return the foreground classes of a sample, counted from 0 (for class-balanced sampling).

        Args:
            index (int): Index of the sample.

        Returns:
            list[int]: Channels of ``gt_label`` that are 1.
        """
        return np.flatnonzero(self._labels[index]).tolist()

    def _label_path(self) -> Optional[Path]:
        """Return the path of the label file, which is relative to the data root unless it is absolute."""
        if self.label_file is None:
            return None
        root = getattr(self._leaves[0], 'data_root', None) or ''
        return Path(os.path.join(root, self.label_file))

    def _read_labels(self, infos: list[dict]) -> ImageLabels:
        """Read the label file, and derive missing labels from the masks."""
        path = self._label_path()
        if not self.labels_from_masks:
            return ImageLabels.load(path, self.classes)
        if path is None or not path.exists():
            return self._derive_labels(infos)
        labels = ImageLabels.load(path, self.classes)
        others = [info for info in infos if info['image_id'] not in labels]
        if not others:
            return labels
        derived = self._derive_labels(others)
        return ImageLabels(tuple(dict.fromkeys(labels.classes + derived.classes)),
                           {**labels.labels, **derived.labels})

    def _derive_labels(self, infos: list[dict]) -> ImageLabels:
        """Read all masks and label each image with the classes in its mask."""
        lacking = [info['image_id'] for info in infos if 'seg_map_path' not in info]
        if lacking:
            raise ValueError(f'labels_from_masks needs masks, but the dataset gives none for {len(lacking)} images: '
                             f'set data_prefix.seg_map_path, or give a label_file')
        files = {info['image_id']: info['seg_map_path'] for info in infos}
        return labels_from_mask_files(files, self.classes, remap=partial(_remap, info=infos[0]), origin=self.origin)

    def _with_entry(self, ids: Sequence[str], labels: ImageLabels) -> np.ndarray:
        """Return the positions of the images that have labels; raise or warn about the others."""
        absent = [image_id for image_id in ids if image_id not in labels]
        if absent:
            where = self._label_path() or 'the masks'
            message = (f'{len(absent)} of {len(ids)} images of {self.origin} are missing from {where}: '
                       f'{first_few(absent)}')
            if self.missing == 'error':
                raise ValueError(f"{message} (it has ids like {first_few(labels.labels, 2)}). Add them, or set "
                                 "missing='skip'")
            _warn(message + '; skipped')
        return np.array([k for k, image_id in enumerate(ids) if image_id in labels], dtype=np.int64)

    def _with_label(self, ids: Sequence[str], matrix: np.ndarray) -> np.ndarray:
        """Return the rows to keep; raise or warn about images that show no class."""
        shown = matrix.any(1)
        if shown.all() or self.empty == 'keep':
            return np.arange(len(ids))
        empty = [image_id for image_id, has_label in zip(ids, shown) if not has_label]
        message = f'{len(empty)} of {len(ids)} images of {self.origin} show no class: {first_few(empty)}'
        if self.empty == 'error':
            raise ValueError(f"{message}. Label them, or set empty='skip' or empty='keep'")
        _warn(message + '; skipped')
        return np.flatnonzero(shown)

    def _warn_if_nothing_can_be_learned(self, num_dropped: int) -> None:
        """Warn if all images of a training set have the same labels."""
        if self.show_masks or len(self._labels) < 2 or (self._labels != self._labels[0]).any():
            return
        names = ', '.join(name for name, shown in zip(self.classes, self._labels[0]) if shown) or 'none'
        remedy = (f"{num_dropped} images without a label were left out: set empty='keep' to train with them, too"
                  if num_dropped else "add images that do not show them, label them with [], and set empty='keep'")
        _warn(f'all {len(self._labels)} training images of {self.origin} have the same labels ({names}), so nothing '
              f'can be learned from the labels; {remedy}')

    def _dropped_classes(self) -> set[str]:
        """Return the classes that the dataset's type knows but its config left out."""
        all_classes = {name for leaf in self._leaves for name in type(leaf).METAINFO.get('classes', ())}
        return all_classes - set(self.classes)

    def _require_readable(self, paths: Sequence[str]) -> None:
        """Decode all images; raise one error that lists those that cannot be read."""
        with ThreadPoolExecutor(max_workers=min(8, 2 * (os.cpu_count() or 1))) as pool:
            errors = [error for error in pool.map(why_unreadable, paths) if error]
        if errors:
            raise ValueError(f'{len(errors)} of {len(paths)} images of {self.origin} cannot be read: '
                             f'{"; ".join(errors[:5])}')


def _warn(message: str) -> None:
    """Log a warning."""
    print_log(message, logger='current', level=logging.WARNING)


def _loads_masks(pipeline: Any) -> bool:
    """Return whether a pipeline, or one nested in it, loads masks."""
    steps = pipeline.transforms if isinstance(pipeline, Compose) else [pipeline]
    return any(isinstance(step, LoadAnnotations) and getattr(step, 'with_seg', True) for step in steps)


def _remap(values: frozenset, info: dict) -> frozenset:
    """Return mask values as they are after loading with the dataset's label options."""
    if info.get('reduce_zero_label'):
        values = frozenset(255 if value in (0, 255) else value - 1 for value in values)
    if info.get('label_map'):
        values = frozenset(info['label_map'].get(value, value) for value in values)
    return values
