"""Base class of the dataset wrappers, which select samples of any mmseg dataset and report errors clearly."""

import copy
import os
from collections.abc import Callable, Sequence
from typing import Any, Optional, Union

import cv2
import numpy as np
from mmengine.dataset import BaseDataset, Compose, force_full_init
from PIL import Image
from torch.utils.data import Dataset

from mmwsss.registry import DATASETS, TRANSFORMS
from mmwsss.utils import IMAGE_SUFFIXES, check_image_id, first_few, image_size, mask_size, missing_files
from mmwsss.utils.errors import ImageError

from .class_names import foreground_classes
from .sampling import derive_seed, seeded_sample

__all__ = ['SegDatasetWrapper', 'leaf_datasets']


class SegDatasetWrapper(Dataset):
    """View of an mmseg dataset that leaves samples out and changes the entries of others.

    Subclasses implement :meth:`select` and :meth:`amend`.

    Args:
        dataset (dict or BaseDataset): Any mmseg dataset, or its config; also nested ones (concatenated, repeated).
        pipeline (Sequence, optional): Transforms. None uses the pipeline of ``dataset``.
        seed (int, optional): With it, and where the index is a :class:`~mmwsss.datasets.SampleIndex`, everything random
            in the pipeline follows from this seed, the sampler's (which the Runner sets to its own) and the index's
            ``draw``. The input of the pipeline then has ``sample_seed``, ``draw`` and ``stream_seed``, which samples of
            one stream share. For that the wrapper must be the outermost dataset.
        test_mode (bool, optional): Whether a sample that the pipeline gives up on (returns None) is an error. None
            takes it from ``dataset``; in training another sample is drawn instead.
        max_refetch (int): How often another one is drawn before giving up.
        lazy_init (bool): Read lists and labels at first use.

    Raises:
        FileNotFoundError: The image folder or the split list of ``dataset`` does not exist.
        TypeError: ``dataset`` is neither a config nor a dataset.
    """

    def __init__(self,
                 dataset: Union[dict, BaseDataset],
                 pipeline: Optional[Sequence[Union[dict, Callable]]] = None,
                 seed: Optional[int] = None,
                 test_mode: Optional[bool] = None,
                 max_refetch: int = 100,
                 lazy_init: bool = False) -> None:
        self.dataset = _build(dataset)
        self.pipeline = self._build_pipeline(pipeline)
        self.seed = seed
        self.test_mode = getattr(self.dataset, 'test_mode', False) if test_mode is None else test_mode
        self.max_refetch = max_refetch
        self._metainfo = self.dataset.metainfo
        self.classes = foreground_classes(self._metainfo.get('classes', ()))
        self._leaves = leaf_datasets(self.dataset)
        self._indices = np.zeros(0, dtype=np.int64)
        self._checked_masks: set[str] = set()
        self._fully_initialized = False
        if not lazy_init:
            self.full_init()

    def _build_pipeline(self, pipeline: Optional[Sequence[Union[dict, Callable]]]) -> Compose:
        """Build the given transforms, or return those of the wrapped dataset."""
        if pipeline is None:
            if not hasattr(self.dataset, 'pipeline'):
                raise ValueError(f'{type(self.dataset).__name__} has no pipeline of its own: give '
                                 f'{type(self).__name__} one')
            return self.dataset.pipeline
        return Compose([TRANSFORMS.build(step) if isinstance(step, dict) else step for step in pipeline])

    def select(self, infos: list[dict]) -> np.ndarray:
        """Check all samples and choose those to keep.

        Args:
            infos (list[dict]): The entries of the wrapped dataset, with ``image_id``.

        Returns:
            ndarray: Int64, the positions in ``infos`` that are kept.
        """
        return np.arange(len(infos))

    def amend(self, info: dict, index: int) -> dict:
        """Change the entry of a sample before the pipeline sees it.

        Args:
            info (dict): The entry of the wrapped dataset, with ``image_id``; may be changed in place.
            index (int): Index in this wrapper.

        Returns:
            dict: The input of the pipeline.
        """
        return info

    def full_init(self) -> None:
        """Read lists and labels and check them; does nothing the second time.

        Raises:
            FileNotFoundError: Images of the split do not exist.
            ValueError: The split is empty, or nothing of it is left.
        """
        if self._fully_initialized:
            return
        self.dataset.full_init()
        infos = [self._identified(self.dataset.get_data_info(k)) for k in range(len(self.dataset))]
        if not infos:
            raise ValueError(f'{self.origin} has no image: check ann_file, data_prefix and img_suffix')
        self._require_files([info['img_path'] for info in infos], 'images')
        self._indices = np.asarray(self.select(infos), dtype=np.int64)
        if len(self._indices) == 0:
            raise ValueError(f'none of the {len(infos)} images of {self.origin} is left: see the warnings above')
        self._fully_initialized = True

    def _identified(self, info: dict) -> dict:
        """Add the image id: the path below the image folder, without suffix, as split lists have it."""
        if 'image_id' not in info:
            path = info['img_path']
            for leaf in self._leaves:
                folder = os.path.join(leaf.data_prefix.get('img_path') or '', '')
                suffix = getattr(leaf, 'img_suffix', '')
                if path.startswith(folder) and suffix and path.endswith(suffix):
                    info['image_id'] = path[len(folder):-len(suffix)]
                    break
            else:
                info['image_id'] = os.path.splitext(os.path.basename(path))[0]
        check_image_id(info['image_id'], self.origin)
        return info

    def _require_files(self, paths: Sequence[str], what: str) -> None:
        """Raise one error that lists the missing files, if they are on this machine's disks."""
        missing = [] if self._is_remote else missing_files(paths)
        if missing:
            note = ' (broken links, folders and pipes count as missing)' if any(map(os.path.lexists, missing)) else ''
            raise FileNotFoundError(f'{len(missing)} of {len(paths)} {what} of {self.origin} do not exist: '
                                    f'{first_few(missing)}{note}')

    @property
    def _is_remote(self) -> bool:
        """Return whether the files are read through a storage client."""
        return any(getattr(leaf, 'backend_args', None) for leaf in self._leaves)

    def _check_mask(self, info: dict) -> None:
        """Refuse, once per process, a mask with several channels or another size than its image."""
        mask = info.get('seg_map_path')
        if mask is None or mask in self._checked_masks or self._is_remote:
            return
        if mask.lower().endswith(IMAGE_SUFFIXES):
            found, expected = mask_size(mask), image_size(info['img_path'])
            if found != expected:
                raise ValueError(f'mask {mask} has {found[1]}x{found[0]} pixels, its image '
                                 f'{expected[1]}x{expected[0]}')
        self._checked_masks.add(mask)

    @property
    def origin(self) -> str:
        """The split list or image folder of the wrapped dataset, for messages."""
        leaf = self._leaves[0]
        return str(getattr(leaf, 'ann_file', '') or leaf.data_prefix.get('img_path', ''))

    @property
    def metainfo(self) -> dict:
        """The meta information of the wrapped dataset (classes with background first, palette)."""
        return copy.deepcopy(self._metainfo)

    @property
    @force_full_init
    def image_ids(self) -> list[str]:
        """The image ids in the order of the samples."""
        return [self._identified(self.dataset.get_data_info(int(k)))['image_id'] for k in self._indices]

    @force_full_init
    def get_data_info(self, index: int) -> dict:
        """Return the input of the pipeline for a sample.

        Args:
            index (int): Index in this wrapper.

        Returns:
            dict: ``img_path``, ``image_id`` and so on.
        """
        index = range(len(self._indices))[index]
        info = self.amend(self._identified(self.dataset.get_data_info(int(self._indices[index]))), index)
        info['sample_idx'] = index
        return info

    @force_full_init
    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> Any:
        """Return a sample after the pipeline.

        Args:
            index (int): Index, or a :class:`~mmwsss.datasets.SampleIndex`.

        Raises:
            ImageError: The pipeline failed; the image is named. The class is a ``RuntimeError``.
        """
        draw = getattr(index, 'draw', None)
        if self.seed is None or draw is None:
            return self._fetch(index)
        stream_seed = derive_seed(self.seed, getattr(index, 'seed', 0))
        with seeded_sample(stream_seed, draw) as sample_seed:
            return self._fetch(index, sample_seed=sample_seed, draw=draw, stream_seed=stream_seed)

    def _fetch(self, index: int, **extra: Any) -> Any:
        """Run the pipeline on a sample, and on others where it gives up on one."""
        for _ in range(1 if self.test_mode else self.max_refetch + 1):
            info = {**self.get_data_info(index), **extra}
            try:
                self._check_mask(info)
                sample = self.pipeline(info)
            except Exception as error:
                raise ImageError(f'image {info["img_path"]} (number {index} of {self.origin}) cannot be processed: '
                                 f'{type(error).__name__}: {error}{_hint_for(error)}') from error
            if sample is not None:
                return sample
            index = np.random.randint(len(self))
        raise ImageError(f'the pipeline gave no sample for {info["img_path"]} of {self.origin}'
                         + ('' if self.test_mode else f' nor for {self.max_refetch} others'))


def _hint_for(error: Exception) -> str:
    """Return how to allow oversized images, if that is the error."""
    if isinstance(error, cv2.error) and 'CV_IO_MAX_IMAGE' in str(error):
        return '. Set the environment variable OPENCV_IO_MAX_IMAGE_PIXELS to allow larger images, or make it smaller'
    if isinstance(error, Image.DecompressionBombError):
        return '. Set PIL.Image.MAX_IMAGE_PIXELS to allow larger images, or make it smaller'
    return ''


def leaf_datasets(dataset: Any) -> list:
    """Return the datasets at the ends of nested wrappers, in order.

    Args:
        dataset (Any): A dataset, possibly wrapped (``.dataset``) or concatenated (``.datasets``).

    Returns:
        list: The datasets that hold paths themselves.
    """
    inner = getattr(dataset, 'datasets', None) or ([dataset.dataset] if hasattr(dataset, 'dataset') else [])
    return [leaf for part in inner for leaf in leaf_datasets(part)] or [dataset]


def _build(dataset: Union[dict, BaseDataset]) -> Any:
    """Build a dataset from its config, after checking its paths."""
    if isinstance(dataset, dict):
        _check_paths(dataset)
        return DATASETS.build(dataset)
    if hasattr(dataset, 'get_data_info') and hasattr(dataset, 'metainfo'):
        return dataset
    raise TypeError(f'dataset must be a config or an mmseg dataset, got {type(dataset).__name__}')


def _check_paths(cfg: dict) -> None:
    """Refuse a dataset config whose folder or list does not exist; mmseg would fail without a message."""
    nested = cfg.get('datasets') or ([cfg['dataset']] if isinstance(cfg.get('dataset'), dict) else [])
    for part in nested:
        if isinstance(part, dict):
            _check_paths(part)
    if nested or cfg.get('backend_args'):
        return
    root = cfg.get('data_root') or ''
    prefix = (cfg.get('data_prefix') or {}).get('img_path')
    if prefix is not None and not os.path.isdir(os.path.join(root, prefix)):
        raise FileNotFoundError(f'image folder {os.path.join(root, prefix)} does not exist (data_root={root!r}, '
                                f'data_prefix.img_path={prefix!r}); set data_root to where your data is')
    split = cfg.get('ann_file')
    if split and not os.path.exists(os.path.join(root, split)):
        folder = os.path.dirname(os.path.join(root, split))
        there = sorted(os.listdir(folder))[:10] if os.path.isdir(folder) else []
        raise FileNotFoundError(f'split list {os.path.join(root, split)} does not exist (ann_file={split!r}); '
                                f'its folder holds: {", ".join(there) or "nothing"}')
