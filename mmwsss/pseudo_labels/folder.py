"""A folder of pseudo labels that knows how it was made, and which files in it are its own."""

import hashlib
import json
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np

from mmwsss.datasets.map_files import is_picture, read_cams, read_label_map, read_note
from mmwsss.utils import OutputError, check_output, first_few, path_inside, write_json

__all__ = ['MANIFEST', 'LabelFolder', 'label_note']

MANIFEST = 'pseudo_labels.json'
_LEFTOVER = re.compile(r'^\.(.*)\.[0-9a-f]{12}\.(png|npz|npy|json)$')


def label_note(origin: str, labels: np.ndarray, checksums: Sequence[int]) -> str:
    """Build the text in a label map: its origin, and the checksums of its pixels and its other files.

    Args:
        origin (str): :attr:`LabelFolder.origin`.
        labels (np.ndarray): (H, W) uint8, the label map.
        checksums (Sequence[int]): CRC-32 of the other files of the image, in the order of the outputs.

    Returns:
        str: Fields separated by blanks.
    """
    pixels = zlib.crc32(np.ascontiguousarray(labels, np.uint8))
    return ' '.join([origin, *(f'{value:08x}' for value in (pixels, *checksums))])


class LabelFolder:
    """Label maps ``<image id>.png``, further outputs ``<output>/<image id>.npz`` and the settings behind them.

    The manifest names the settings, the outputs and the images. Every label map carries a digest of the settings that
    made it and the checksums of its pixels and of the image's other files, so that what is finished can be told from
    the files alone. A file is replaced or removed only if the manifest names it and nobody has changed its label map
    since.

    Args:
        path (str or PathLike): The folder; made by :meth:`prepare`.
        settings (dict): The settings that determine the content, as JSON values.
        outputs (Mapping[str, str]): Folders of further files of an image and their suffixes, without the dot, such as
            ``{'cams': 'npz'}``.
    """

    def __init__(self, path: Union[str, os.PathLike], settings: dict,
                 outputs: Optional[Mapping[str, str]] = None) -> None:
        self.path = Path(path)
        self.settings = json.loads(json.dumps(settings))
        self.outputs = dict(outputs or {})
        self.origin = hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()[:16]
        self._image_ids: set[str] = set()

    def label_path(self, image_id: str) -> Path:
        """Return the path of the label map of an image.

        Raises:
            OutputError: The id leads out of the folder.
        """
        return path_inside(self.path, image_id, '.png')

    def output_paths(self, image_id: str) -> dict[str, Path]:
        """Return the paths of the further files of an image by output; see :meth:`label_path`."""
        return _output_paths(self.path, self.outputs, image_id)

    def prepare(self, image_ids: Sequence[str], overwrite: bool = False, refresh: bool = False) -> None:
        """Prepare the folder: check its content, remove temporary files of a killed run, and write the manifest.

        Args:
            image_ids (Sequence[str]): The images that will be written.
            overwrite (bool): Remove labels made with other settings, rather than refuse.
            refresh (bool): Keep labels made with other settings until each is replaced; :meth:`finish` then writes
                the new settings.

        Raises:
            NotADirectoryError: A file stands in the folder's place.
            OutputError: The folder holds files that are not proven to be ours.
            ValueError: The folder holds labels made with other settings, and neither ``overwrite`` nor ``refresh``.
        """
        check_output(self.path, (), MANIFEST, 'the folder for pseudo labels')
        found = self._read_manifest()
        if found is None:
            self._require_free(self._files(image_ids, self.outputs))
            self._write_manifest(self.settings, self.outputs, image_ids)
            return
        known = set(found['images'])
        differs = found['settings'] != self.settings
        if differs and not (overwrite or refresh):
            raise ValueError(f'{self.path} holds labels made with other settings: '
                             f'{_differences(found["settings"], self.settings)}. Choose another folder, or give '
                             '--overwrite to remove them')
        added = dict(set(self.outputs.items()).difference(_all_outputs(found)))
        self._require_free([*self._files(set(image_ids) - known, self.outputs), *self._named(added, known)])
        self._drop_leftovers(known)
        if differs and not refresh:
            self._remove(found)
            self._write_manifest(self.settings, self.outputs, image_ids)
        elif differs or not known.issuperset(image_ids):
            self._write_manifest(found['settings'], {**found['outputs'], **self.outputs}, known.union(image_ids),
                                 _all_outputs(found))
        self._image_ids = known.union(image_ids)

    def join(self, image_ids: Sequence[str], own: Iterable[str]) -> None:
        """Prepare the folder for one of several runs that fill it at the same time; the first one claims it.

        All of them write the same manifest, which names the images of all. Temporary files of other runs stay.

        Args:
            image_ids (Sequence[str]): The images of all runs.
            own (Iterable[str]): Those of this run.

        Raises:
            NotADirectoryError: A file stands in the folder's place.
            OutputError: The folder holds files that are not proven to be ours.
            ValueError: The folder was begun with other settings or for other images.
        """
        stems = {path.with_suffix('') for path in self._files(own, self.outputs)}
        if self._read_manifest() is None and self._is_new():
            self._write_manifest(self.settings, self.outputs, image_ids)
        check_output(self.path, (), MANIFEST, 'the folder for pseudo labels')
        self.require_settings(image_ids)
        for path, stem in self._leftovers():
            if path.parent / stem in stems:
                path.unlink(missing_ok=True)

    def require_settings(self, image_ids: Sequence[str]) -> None:
        """Refuse to go on in a folder whose manifest has other settings, or lacks some of these images.

        Raises:
            OutputError: The manifest is missing or damaged.
            ValueError: It has other settings, or lacks images.
        """
        found = self._read_manifest()
        if found is None:
            raise OutputError(f'{self.path / MANIFEST} has vanished: was the folder removed while it was filled?')
        if found['settings'] != self.settings:
            raise ValueError(f'{self.path} was begun with other settings: '
                             f'{_differences(found["settings"], self.settings)}. All shards need the same settings; '
                             'choose another folder, or first run the command with --overwrite and without --shard')
        missing = sorted(set(image_ids).difference(found['images']))
        if missing:
            raise ValueError(f'{self.path} was begun for other images: {len(missing)} of {len(image_ids)} are not in '
                             f'its {MANIFEST}: {first_few(missing, 3)}. All shards need the same list of images; '
                             'choose another folder')

    def finish(self) -> None:
        """State the settings in the manifest, and remove files of outputs that no longer belong to the labels."""
        found = self._read_manifest()
        if found is None or found['settings'] == self.settings:
            return
        for name, suffix in _all_outputs(found):
            if self.outputs.get(name) != suffix:
                for path in self._named({name: suffix}, found['images']):
                    path.unlink(missing_ok=True)
        self._write_manifest(self.settings, self.outputs, found['images'])

    def pixel_counts(self, image_id: str) -> Optional[np.ndarray]:
        """Count the pixels of each value in a finished label map.

        Args:
            image_id (str): The image.

        Returns:
            np.ndarray: (256,) int64; None if the label has to be made, because files of the image are missing, cut
            short, otherwise damaged or made with other settings.

        Raises:
            OutputError: The label map was changed after it was written.
        """
        path = self.label_path(image_id)
        try:
            labels, note = read_label_map(path, strict=True), read_note(path)
        except (OSError, ValueError):
            labels, note = None, None
        if labels is None and not is_picture(path):
            return None
        if labels is None or not _is_ours(labels, note):
            raise OutputError(f'{path} was changed since mmwsss has written it. Move it away to have it made again, or '
                              'choose another folder')
        try:
            checksums = [zlib.crc32(file.read_bytes()) for file in self.output_paths(image_id).values()]
        except OSError:
            return None
        if note != label_note(self.origin, labels, checksums):
            return None
        return np.bincount(labels.ravel(), minlength=256)

    def _read_manifest(self) -> Optional[dict[str, Any]]:
        """Return settings, outputs and images in the manifest; None without one.

        ``former`` are names and suffixes of outputs that a refresh replaces by others of the same name.

        Raises:
            OutputError: It is damaged or from an earlier version.
        """
        manifest = self.path / MANIFEST
        if not manifest.is_file():
            return None
        try:
            content = json.loads(manifest.read_text(encoding='utf-8'))
            return {'settings': dict(content['settings']), 'outputs': dict(content['outputs']),
                    'images': [str(image_id) for image_id in content['images']],
                    'former': [(str(name), str(suffix)) for name, suffix in content.get('former', ())]}
        except (ValueError, KeyError, TypeError) as error:
            raise OutputError(f'{manifest} is damaged, or from an earlier version of mmwsss, and does not prove which '
                              'files are ours: choose another folder, or remove this one yourself') from error

    def _write_manifest(self, settings: dict, outputs: Mapping[str, str], image_ids: Iterable[str],
                        former: Iterable[tuple[str, str]] = ()) -> None:
        former = [pair for pair in former if outputs.get(pair[0]) != pair[1]]
        write_json({'settings': settings, 'outputs': dict(outputs), 'images': sorted(image_ids),
                    **({'former': former} if former else {})}, self.path / MANIFEST)

    def _require_free(self, paths: Iterable[Path]) -> None:
        """Refuse paths at which something exists already although the manifest does not name it."""
        foreign = sorted(str(path.relative_to(self.path)) for path in paths if os.path.lexists(path))
        if foreign:
            raise OutputError(f'{self.path} already holds {len(foreign)} of the files that are to be made, but its '
                              f'{MANIFEST} does not name them: {first_few(foreign, 3)}. Choose another folder')

    def _remove(self, found: dict) -> None:
        """Remove the files that a manifest names; remove none if one was changed."""
        foreign = [str(path.relative_to(self.path)) for image_id in found['images']
                   for path in self._changed(image_id, found['outputs'])]
        if foreign:
            raise OutputError(f'{len(foreign)} files in {self.path} were changed since mmwsss has written them, and '
                              f'are not removed: {first_few(foreign, 3)}. Move them away, or choose another folder')
        former = [path for name, suffix in found['former'] for path in self._named({name: suffix}, found['images'])]
        for path in [*former, *self._files(found['images'], found['outputs'])]:
            path.unlink(missing_ok=True)

    def _changed(self, image_id: str, outputs: Mapping[str, str]) -> Iterator[Path]:
        """Return the files of an image that can be read but were changed after they were written."""
        path = self.label_path(image_id)
        try:
            labels, note = read_label_map(path, strict=True), read_note(path)
        except (OSError, ValueError):
            if is_picture(path):
                yield path
            return
        if not _is_ours(labels, note):
            yield path
            return
        for file in _output_paths(self.path, outputs, image_id).values():
            if file.is_file() and f'{zlib.crc32(file.read_bytes()):08x}' not in note.split()[2:] and _is_whole(file):
                yield file

    def _files(self, image_ids: Iterable[str], outputs: Mapping[str, str]) -> list[Path]:
        """All files of images; the label maps, which prove the other files, come last."""
        image_ids = list(image_ids)
        return [*self._named(outputs, image_ids), *(self.label_path(image_id) for image_id in image_ids)]

    def _named(self, outputs: Mapping[str, str], image_ids: Iterable[str]) -> list[Path]:
        """The files of images beside their label maps."""
        return [path for image_id in image_ids for path in _output_paths(self.path, outputs, image_id).values()]

    def _drop_leftovers(self, image_ids: set[str]) -> None:
        """Remove the temporary files of runs that were killed."""
        stems = {image_id.rsplit('/', 1)[-1] for image_id in image_ids} | {Path(MANIFEST).stem}
        for path, stem in self._leftovers():
            if stem in stems:
                path.unlink(missing_ok=True)

    def _leftovers(self) -> Iterator[tuple[Path, str]]:
        """Yield files with names of temporary ones, and the stems of the files that they were to become."""
        for path in self.path.rglob('.*'):
            match = _LEFTOVER.match(path.name)
            if match and path.is_file():
                yield path, match[1]

    def _is_new(self) -> bool:
        """Return whether the folder contains nothing, or only manifests that other runs are writing."""
        if not self.path.is_dir():
            return not self.path.exists()
        matches = [_LEFTOVER.match(path.name) for path in self.path.iterdir()]
        return all(match and match[1] == Path(MANIFEST).stem for match in matches)


def _all_outputs(found: dict) -> list[tuple[str, str]]:
    """Return the names and suffixes of all outputs in a manifest, also of those that a refresh replaces."""
    return list(dict.fromkeys([*found['outputs'].items(), *found['former']]))


def _output_paths(folder: Path, outputs: Mapping[str, str], image_id: str) -> dict[str, Path]:
    return {name: path_inside(folder, f'{name}/{image_id}', f'.{suffix}') for name, suffix in outputs.items()}


def _is_ours(labels: np.ndarray, note: Optional[str]) -> bool:
    """Return whether the text in a label map holds the checksum of its pixels."""
    words = (note or '').split()
    return len(words) > 1 and words[1] == label_note('', labels, ()).strip()


def _is_whole(path: Path) -> bool:
    """Return whether a file can be read."""
    try:
        if path.suffix == '.png':
            read_label_map(path, strict=True)
        else:
            read_cams(path, first_key=1)
    except (OSError, ValueError):
        return False
    return True


def _differences(found: dict, wanted: dict) -> str:
    found, wanted = dict(_flat(found)), dict(_flat(wanted))
    keys = [key for key in {**found, **wanted} if found.get(key) != wanted.get(key)]
    shown = [f'{key} is {_short(found.get(key))} there and {_short(wanted.get(key))} now' for key in keys[:3]]
    return ', '.join(shown) + (f' and {len(keys) - 3} more' if len(keys) > 3 else '')


def _flat(value: Any, key: str = '') -> Iterator[tuple[str, Any]]:
    """Walk through nested dictionaries and lists of them; keys are joined by dots."""
    items: Optional[Iterable] = value.items() if isinstance(value, dict) else None
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        items = enumerate(value)
    if items is None:
        yield key, value
        return
    for name, item in items:
        yield from _flat(item, f'{key}.{name}' if key else str(name))


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f'{text[:37]}...'
