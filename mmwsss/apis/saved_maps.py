"""Class maps that an earlier run has saved, and what they become on a walk along affinities."""

import hashlib
import json
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
import torch
from torch import Tensor, nn

from mmwsss.datasets.map_files import read_cams
from mmwsss.models.utils import resize_maps, without_padding
from mmwsss.utils import first_few

from .label_folder import MANIFEST
from .label_settings import LabelSettings
from .labelling import alpha_scores

__all__ = ['SavedMaps', 'WalkSource']

_SUFFIXES = ('.npz', '.npy')


class SavedMaps:
    """A folder of class maps, a file per image.

    Args:
        folder (str or PathLike): Where ``tools/make_pseudo_labels.py --save-cams`` has written, or a folder with
            ``<image id>.npz`` or ``.npy`` themselves, also of other code bases
            (see :func:`~mmwsss.datasets.map_files.read_cams`).

    Raises:
        FileNotFoundError: There is no such folder.
    """

    def __init__(self, folder: Union[str, os.PathLike]) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise FileNotFoundError(f'folder of class maps {folder} does not exist; tools/make_pseudo_labels.py '
                                    '--save-cams makes one')
        self.maps = self.folder / 'cams' if (self.folder / 'cams').is_dir() else self.folder

    def identity(self) -> str:
        """SHA-256 in hexadecimal of how the maps were made, where a manifest says so, or else of all files."""
        settings = self._settings()
        if settings:
            return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        digest = hashlib.sha256()
        for path in sorted(self.maps.rglob('*')):
            if path.suffix in _SUFFIXES:
                digest.update(f'{path.relative_to(self.maps)} {zlib.crc32(path.read_bytes())}'.encode())
        return digest.hexdigest()

    def check(self, classes: Sequence[str], image_ids: Sequence[str]) -> None:
        """Check that the maps are of these data.

        Args:
            classes (Sequence[str]): Foreground classes of the data; compared where a manifest names those of the maps.
            image_ids (Sequence[str]): Images that need a file.

        Raises:
            FileNotFoundError: Some images have no file; the first few are listed.
            ValueError: The classes differ.
        """
        made_for = self._settings().get('classes', list(classes))
        if made_for != list(classes):
            raise ValueError(f'the class maps in {self.maps} are of {len(made_for)} classes '
                             f'({first_few(made_for, 3)}), the data have {len(classes)} ({first_few(classes, 3)})')
        missing = [image_id for image_id in image_ids if self._find(image_id) is None]
        if missing:
            raise FileNotFoundError(
                f'{len(missing)} of {len(image_ids)} images have no class maps in {self.maps}: '
                f'{first_few([f"{image_id}.npz" for image_id in missing])}. Make them with tools/make_pseudo_labels.py '
                'and the model of the maps: --save-cams, and the --split of this run')

    def read(self, image_id: str, channels: np.ndarray, num_classes: int) -> np.ndarray:
        """Read the maps of an image.

        Args:
            image_id (str): Which.
            channels (np.ndarray): (P,) foreground channels that are wanted.
            num_classes (int): C, foreground classes of the data.

        Returns:
            np.ndarray: (P, h, w) float32.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is damaged, lacks one of these maps, or has maps of classes that the data do not have.
        """
        path = self._find(image_id) or self.maps / f'{image_id}{_SUFFIXES[0]}'
        cams, found = read_cams(path)
        if len(found) and found[-1] >= num_classes:
            raise ValueError(f'{path} has a map of class {found[-1] + 1}, the data have {num_classes} classes: were '
                             'the maps made for other data?')
        missing = sorted(set(channels.tolist()) - set(found.tolist()))
        if missing:
            raise ValueError(f'{path} has maps of the classes {[int(one) + 1 for one in found]}, the image labels name '
                             f'{[one + 1 for one in missing]} as well: make the maps anew with these image labels')
        return cams[np.searchsorted(found, channels)].astype(np.float32)

    def _settings(self) -> dict:
        """What the manifest of the maps' folder says; nothing without one."""
        folder = self.maps.parent if self.maps.name == 'cams' else self.maps
        try:
            return dict(json.loads((folder / MANIFEST).read_text(encoding='utf-8'))['settings'])
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def _find(self, image_id: str) -> Optional[Path]:
        """The file of an image, if there is one."""
        paths = (self.maps / f'{image_id}{suffix}' for suffix in _SUFFIXES)
        return next((path for path in paths if path.is_file()), None)


class WalkSource:
    """Gives class maps of an image after a random walk along the affinities of its pixels.

    Args:
        model (nn.Module): :class:`~mmwsss.models.AffinityNet` in eval mode.
        num_classes (int): C, foreground classes of the data.
        settings (LabelSettings): Its ``threshold`` or ``background_alpha`` is the background that walks along.
        maps (SavedMaps): The maps before the walk.
    """

    def __init__(self, model: nn.Module, num_classes: int, settings: LabelSettings, maps: SavedMaps) -> None:
        self.model = model
        self.num_classes = num_classes
        self.settings = settings
        self.maps = maps

    def __call__(self, data: dict, channels: np.ndarray, image_id: str) -> tuple[Tensor, Optional[Tensor], Any]:
        """Run the model on one image.

        Args:
            data (dict): A collated batch of one image.
            channels (np.ndarray): (P,) foreground channels that the image shows, increasing.
            image_id (str): Whose maps to read.

        Returns:
            tuple[Tensor, Tensor, SegDataSample]: Maps (1, P, H, W) at the size of the image, the background
            (1, 1, H, W), None for an image without classes, and the image's data sample.

        Raises:
            FileNotFoundError: The image has no maps.
            ValueError: They do not fit the image's labels.
        """
        data = self.model.data_preprocessor(data, False)
        sample = data['data_samples'][0]
        inputs = without_padding(data['inputs'], sample.metainfo)
        if not len(channels):
            return inputs.new_zeros(1, 0, *sample.ori_shape[:2]), None, sample
        cams = torch.from_numpy(self.maps.read(image_id, channels, self.num_classes))
        cams = resize_maps(cams[None], inputs.shape[-2:])[0].numpy()
        walked = self.model.walk_cams(inputs, torch.from_numpy(self._scores(cams)).to(inputs))
        walked = resize_maps(walked[None], sample.ori_shape[:2])
        return walked[:, 1:], walked[:, :1], sample

    def _scores(self, cams: np.ndarray) -> np.ndarray:
        """Put the background before maps (P, H, W)."""
        if self.settings.background_alpha is not None:
            return alpha_scores(cams, self.settings.background_alpha)
        return np.concatenate([np.full_like(cams[:1], self.settings.threshold), cams])
