"""A folder of pseudo labels that knows how it was made."""

import json
import os
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Optional, Union

import numpy as np

from mmwsss.datasets.map_files import read_cams, read_label_map
from mmwsss.utils import first_few, write_json

__all__ = ['LabelFolder']

MANIFEST = 'pseudo_labels.json'
CAMS = 'cams'
_LEFTOVER = re.compile(r'^\..*\.[0-9a-f]{12}\.(png|npz|json)$')


class LabelFolder:
    """Label maps ``<image id>.png``, class maps ``cams/<image id>.npz`` and the settings behind them.

    Args:
        path (str or PathLike): The folder; made by :meth:`prepare`.
        settings (dict): What decides about the content; JSON values. A folder holds one setting only.
        save_cams (bool): Whether class maps belong to it.
    """

    def __init__(self, path: Union[str, os.PathLike], settings: dict, save_cams: bool = False) -> None:
        self.path = Path(path)
        self.settings = json.loads(json.dumps(settings))
        self.save_cams = save_cams

    def label_path(self, image_id: str) -> Path:
        """Where the label map of an image is."""
        return self.path / f'{image_id}.png'

    def cams_path(self, image_id: str) -> Optional[Path]:
        """Where the class maps of an image are; None if they are not kept."""
        return self.path / CAMS / f'{image_id}.npz' if self.save_cams else None

    def prepare(self, image_ids: Sequence[str], overwrite: bool = False) -> None:
        """Make the folder ready: check what is there, drop leftovers of a killed run, write the settings.

        Args:
            image_ids (Sequence[str]): The images that will be written.
            overwrite (bool): Remove labels made with other settings, rather than refuse.

        Raises:
            NotADirectoryError: A file stands in the folder's place.
            ValueError: The folder holds labels made with other or unknown settings, and not ``overwrite``.
        """
        if self.path.exists() and not self.path.is_dir():
            raise NotADirectoryError(f'{self.path} is a file, not a folder for pseudo labels')
        manifest = self.path / MANIFEST
        found = self._read(manifest)
        foreign = [] if found is not None else self._existing(image_ids)
        if foreign and not overwrite:
            raise ValueError(f'{self.path} already holds {len(foreign)} of these label maps, but no '
                             f'{MANIFEST} that says how they were made: {first_few(foreign, 3)}. Choose '
                             'another folder, or give --overwrite to replace them')
        if found is not None and found != self.settings:
            if not overwrite:
                raise ValueError(f'{self.path} holds labels made with other settings: '
                                 f'{_differences(found, self.settings)}. Choose another folder, or give '
                                 '--overwrite to remove them')
            foreign = [str(path.relative_to(self.path)) for path in self.path.rglob('*.png')]
        if foreign:
            # Without a manifest the folder stays refused, should this be interrupted.
            manifest.unlink(missing_ok=True)
            shutil.rmtree(self.path / CAMS, ignore_errors=True)
            for name in foreign:
                (self.path / name).unlink(missing_ok=True)
        self._drop_leftovers()
        if self._read(manifest) is None:
            write_json({'settings': self.settings}, manifest)

    def pixel_counts(self, image_id: str) -> Optional[np.ndarray]:
        """Pixels of each value, (256,) int64, in a finished label map; None if it has to be made.

        Missing, cut short and otherwise damaged files have to be made.
        """
        try:
            labels = read_label_map(self.label_path(image_id), strict=True)
            if self.save_cams:
                read_cams(self.cams_path(image_id))
        except (OSError, ValueError):
            return None
        return np.bincount(labels.ravel(), minlength=256)

    def _existing(self, image_ids: Iterable[str]) -> list[str]:
        return [f'{image_id}.png' for image_id in image_ids if self.label_path(image_id).exists()]

    def _read(self, manifest: Path) -> Optional[dict]:
        """The settings in the manifest, ``{}`` if it is damaged; None without one."""
        if not manifest.is_file():
            return None
        try:
            return dict(json.loads(manifest.read_text(encoding='utf-8'))['settings'])
        except (ValueError, KeyError, TypeError):
            return {}

    def _drop_leftovers(self) -> None:
        """Remove the temporary files of runs that were killed."""
        for path in self.path.rglob('.*'):
            if _LEFTOVER.match(path.name):
                path.unlink(missing_ok=True)


def _differences(found: dict, wanted: dict) -> str:
    keys = [key for key in {**found, **wanted} if found.get(key) != wanted.get(key)]
    shown = [f'{key} is {_short(found.get(key))} there and {_short(wanted.get(key))} now' for key in keys[:3]]
    return ', '.join(shown) + (f' and {len(keys) - 3} more' if len(keys) > 3 else '')


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f'{text[:37]}...'
