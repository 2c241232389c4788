"""A dataset wrapper that replaces masks by pseudo labels."""

import logging
import os
from collections.abc import Callable, Sequence
from typing import Any, Optional, Union

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from mmwsss.registry import DATASETS
from mmwsss.utils import first_few, image_size, mask_size, missing_files

from .label_sources import mask_values
from .wrapper import SegDatasetWrapper

__all__ = ['PseudoLabelDataset']


@DATASETS.register_module()
class PseudoLabelDataset(SegDatasetWrapper):
    """Wrapper that replaces the masks of any mmseg dataset by a folder of pseudo labels.

    The pseudo label of an image is ``<pseudo_label_dir>/<image id><suffix>``, an index mask (palette or gray PNG) whose
    values are already those of the dataset's classes: background 0, foreground 1..C, ``ignore_index``. The dataset's
    own mapping of labels (``reduce_zero_label``, a subset of classes) is not applied to them.

    Where the dataset does have masks, their paths go along as ``truth_path``, for
    :class:`~mmwsss.datasets.transforms.LoadTrueMask`; nothing else reads them.

    At the start, ``num_checked`` pseudo labels, spread over the data set, are read and compared with their images.

    Args:
        dataset (dict or BaseDataset): Any mmseg dataset, or its config; needs no masks of its own.
        pseudo_label_dir (str): Folder of pseudo labels, relative to the working folder.
        missing (str): What to do with images that have no pseudo label: ``error`` or ``skip`` (one warning counts
            them).
        suffix (str): Ending of the pseudo labels.
        num_checked (int): Number of pseudo labels that are checked.
        pipeline (Sequence, optional): Transforms. None uses the pipeline of ``dataset``.
        seed (int, optional): Seed of the pipeline's randomness; see :class:`~mmwsss.datasets.SegDatasetWrapper`.
        test_mode (bool, optional): See :class:`~mmwsss.datasets.SegDatasetWrapper`.
        max_refetch (int): See :class:`~mmwsss.datasets.SegDatasetWrapper`.
        lazy_init (bool): Read lists and labels at first use.

    Raises:
        FileNotFoundError: The folder, or pseudo labels in it, do not exist; the first few are listed.
        ValueError: A pseudo label has another size than its image or values beyond the classes; or ``missing`` is none
            of its choices.
    """

    def __init__(self,
                 dataset: Union[dict, BaseDataset],
                 pseudo_label_dir: str,
                 missing: str = 'error',
                 suffix: str = '.png',
                 num_checked: int = 8,
                 pipeline: Optional[Sequence[Union[dict, Callable]]] = None,
                 seed: Optional[int] = None,
                 test_mode: Optional[bool] = None,
                 max_refetch: int = 100,
                 lazy_init: bool = False) -> None:
        if missing not in ('error', 'skip'):
            raise ValueError(f"missing must be one of ('error', 'skip'), got {missing!r}")
        if not os.path.isdir(pseudo_label_dir):
            raise FileNotFoundError(f'folder of pseudo labels {pseudo_label_dir} does not exist; '
                                    'tools/make_pseudo_labels.py makes one')
        self.pseudo_label_dir = pseudo_label_dir
        self.missing = missing
        self.suffix = suffix
        self.num_checked = num_checked
        super().__init__(dataset, pipeline, seed, test_mode, max_refetch, lazy_init)

    def _path_of(self, info: dict) -> str:
        """Return the path of the pseudo label of an image."""
        return os.path.join(self.pseudo_label_dir, info['image_id'] + self.suffix)

    def select(self, infos: list[dict]) -> np.ndarray:
        """Choose the images that have a pseudo label; see the base class."""
        paths = [self._path_of(info) for info in infos]
        absent = set(missing_files(paths))
        if absent:
            message = (f'{len(absent)} of {len(infos)} images of {self.origin} have no pseudo label in '
                       f'{self.pseudo_label_dir}: {first_few(sorted(map(os.path.basename, absent)))}')
            if self.missing == 'error':
                raise FileNotFoundError(f"{message}. Make them with tools/make_pseudo_labels.py, or set "
                                        "missing='skip'")
            print_log(message + '; skipped', logger='current', level=logging.WARNING)
        kept = np.array([k for k, path in enumerate(paths) if path not in absent], dtype=np.int64)
        places = np.linspace(0, len(kept) - 1, min(self.num_checked, len(kept))).astype(int)
        self._check([infos[k] for k in kept[places]])
        return kept

    def amend(self, info: dict, index: int) -> dict:
        """Replace the mask by the pseudo label; see the base class."""
        truth = info.get('seg_map_path')
        if truth is not None:
            info.update(truth_path=truth, truth_label_map=info.get('label_map'))
        info.update(seg_map_path=self._path_of(info), seg_fields=[], label_map=None, reduce_zero_label=False)
        return info

    @property
    def metainfo(self) -> dict:
        """The meta information of the wrapped dataset, without its mapping of labels."""
        return {**super().metainfo, 'label_map': None, 'reduce_zero_label': False}

    def _check(self, infos: Sequence[dict]) -> None:
        """Compare pseudo labels with their images and with the classes."""
        allowed = {*range(len(self.classes) + 1), self._ignore_index}
        offenders, only_background = [], True
        for info in infos:
            path = self._path_of(info)
            values = mask_values(path)
            only_background &= values <= {0, self._ignore_index}
            if not values <= allowed:
                offenders.append(f'{path} has the value {max(values - allowed)} (allowed: 0 to {len(self.classes)} '
                                 f'and {self._ignore_index})')
            found, expected = mask_size(path), image_size(info['img_path'])
            if found != expected:
                offenders.append(f'{path} has {found[1]}x{found[0]} pixels, its image {expected[1]}x{expected[0]}')
        if offenders:
            raise ValueError(f'pseudo labels do not fit the dataset {self.origin}: {"; ".join(offenders[:5])}')
        if infos and only_background:
            print_log(f'the {len(infos)} pseudo labels looked at in {self.pseudo_label_dir} hold background only: a '
                      'model trained on them will see nothing else', logger='current', level=logging.WARNING)

    @property
    def _ignore_index(self) -> Any:
        """The ignored value of the wrapped dataset."""
        return getattr(self._leaves[0], 'ignore_index', 255)
