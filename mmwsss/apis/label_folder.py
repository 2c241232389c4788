"""A folder of pseudo labels that knows how it was made."""

import hashlib
import json
import os
import re
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Optional, Union

import numpy as np

from mmwsss.datasets.map_files import read_label_map, read_note
from mmwsss.utils import first_few, write_json

__all__ = ['LabelFolder', 'label_note']

MANIFEST = 'pseudo_labels.json'
_LEFTOVER = re.compile(r'^\..*\.[0-9a-f]{12}\.(png|npz|npy|json)$')
_MAP_FOLDER = re.compile(r'^(cams|crf_[0-9.e+-]+)$')


def label_note(origin: str, checksums: Sequence[int]) -> str:
    """Word what a label map says about itself: what made it, and what its class maps must look like.

    Args:
        origin (str): :attr:`LabelFolder.origin`.
        checksums (Sequence[int]): CRC-32 of the class map files, in the order of the folders.
    """
    return ' '.join([origin, *(f'{value:08x}' for value in checksums)])


class LabelFolder:
    """Label maps ``<image id>.png``, class maps ``<folder>/<image id>.npz`` and the settings behind them.

    Every label map carries a digest of the settings that made it and the checksums of its class maps, so that what is
    finished can be told from the files alone.

    Args:
        path (str or PathLike): The folder; made by :meth:`prepare`.
        settings (dict): What decides about the content; JSON values.
        map_folders (Sequence[str]): Folders of class maps that belong to it: ``cams``, ``crf_1`` and so on.
        map_format (str): Suffix of the class maps, without the dot.
    """

    def __init__(self, path: Union[str, os.PathLike], settings: dict, map_folders: Sequence[str] = (),
                 map_format: str = 'npz') -> None:
        self.path = Path(path)
        self.settings = json.loads(json.dumps(settings))
        self.map_folders = tuple(map_folders)
        self.map_format = map_format
        self.origin = hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()[:16]

    def label_path(self, image_id: str) -> Path:
        """Where the label map of an image is."""
        return self.path / f'{image_id}.png'

    def map_paths(self, image_id: str) -> dict[str, Path]:
        """Where the class maps of an image are, by folder."""
        return {name: self.path / name / f'{image_id}.{self.map_format}' for name in self.map_folders}

    def prepare(self, image_ids: Sequence[str], overwrite: bool = False, refresh: bool = False) -> None:
        """Make the folder ready: check what is there, drop leftovers of a killed run, write the settings.

        Args:
            image_ids (Sequence[str]): The images that will be written.
            overwrite (bool): Remove labels made with other settings, rather than refuse.
            refresh (bool): Keep labels made with other settings until each is replaced; :meth:`finish` then writes
                the new settings.

        Raises:
            NotADirectoryError: A file stands in the folder's place.
            ValueError: The folder holds labels made with other or unknown settings, and not ``overwrite``.
        """
        if self.path.exists() and not self.path.is_dir():
            raise NotADirectoryError(f'{self.path} is a file, not a folder for pseudo labels')
        found = self._read_manifest()
        foreign = [] if found is not None else self._existing(image_ids)
        if foreign and not overwrite:
            raise ValueError(f'{self.path} already holds {len(foreign)} of these label maps, but no '
                             f'{MANIFEST} that says how they were made: {first_few(foreign, 3)}. Choose '
                             'another folder, or give --overwrite to replace them')
        if found is not None and found != self.settings and not refresh:
            if not overwrite:
                raise ValueError(f'{self.path} holds labels made with other settings: '
                                 f'{_differences(found, self.settings)}. Choose another folder, or give '
                                 '--overwrite to remove them')
            foreign = [str(path.relative_to(self.path)) for path in self.path.rglob('*.png')]
        if foreign:
            self._remove(foreign)
        self._drop_leftovers()
        if self._read_manifest() is None:
            write_json({'settings': self.settings}, self.path / MANIFEST)

    def finish(self) -> None:
        """State the settings in the manifest, and drop class maps that no longer belong to the labels."""
        if self._read_manifest() != self.settings:
            write_json({'settings': self.settings}, self.path / MANIFEST)
            self._remove_maps(keep=self.map_folders)

    def pixel_counts(self, image_id: str) -> Optional[np.ndarray]:
        """Pixels of each value, (256,) int64, in a finished label map; None if it has to be made.

        Files that are missing, cut short, otherwise damaged or made with other settings have to be made.
        """
        path = self.label_path(image_id)
        try:
            labels = read_label_map(path, strict=True)
            checksums = [zlib.crc32(maps.read_bytes()) for maps in self.map_paths(image_id).values()]
            if read_note(path) != label_note(self.origin, checksums):
                return None
        except (OSError, ValueError):
            return None
        return np.bincount(labels.ravel(), minlength=256)

    def _existing(self, image_ids: Iterable[str]) -> list[str]:
        return [f'{image_id}.png' for image_id in image_ids if self.label_path(image_id).exists()]

    def _read_manifest(self) -> Optional[dict]:
        """The settings in the manifest, ``{}`` if it is damaged; None without one."""
        manifest = self.path / MANIFEST
        if not manifest.is_file():
            return None
        try:
            return dict(json.loads(manifest.read_text(encoding='utf-8'))['settings'])
        except (ValueError, KeyError, TypeError):
            return {}

    def _remove(self, labels: Sequence[str]) -> None:
        """Remove label maps and all class maps."""
        # First: without a manifest the folder stays refused, should this be interrupted.
        (self.path / MANIFEST).unlink(missing_ok=True)
        self._remove_maps()
        for name in labels:
            (self.path / name).unlink(missing_ok=True)

    def _remove_maps(self, keep: Sequence[str] = ()) -> None:
        """Remove class maps, except those in some folders."""
        for folder in self.path.iterdir():
            if folder.is_dir() and _MAP_FOLDER.match(folder.name) and folder.name not in keep:
                for path in folder.rglob('*.np[yz]'):
                    path.unlink(missing_ok=True)

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
