"""A dataset of the user's own photographs, with mixed suffixes, classes from a file and optional masks."""

import os
from collections.abc import Sequence
from typing import Any, Optional, Union

from mmseg.datasets import BaseSegDataset

from mmwsss.registry import DATASETS
from mmwsss.utils import IMAGE_SUFFIXES, check_image_id, first_few, missing_files
from mmwsss.utils.errors import UserError

from .class_names import index_palette, read_class_names, read_ids

__all__ = ['PhotoDataset']


@DATASETS.register_module()
class PhotoDataset(BaseSegDataset):
    """A folder of photographs, optionally with a split list and masks.

    Unlike in mmseg's ``BaseSegDataset``, images may have any of several suffixes (in any case), classes come
    from a file, with or without the background in it, masks are used only if a folder of masks is named, and all
    problems of a list are reported at once.

    Args:
        classes (str or Sequence[str]): Foreground classes: names, or a text or JSON file, relative to ``data_root``.
            Background is put first if it is not.
        data_root (str): Folder that the other paths start from.
        data_prefix (dict): ``img_path``, and ``seg_map_path`` where there are masks (``<image id>.png``).
        ann_file (str): Split list, one image id per line, with or without suffix. Empty takes all images below
            ``img_path``, sorted.
        img_suffixes (Sequence[str]): Suffixes of images, in lower case.
        **kwargs (Any): Further arguments of ``BaseSegDataset``.

    Raises:
        FileNotFoundError: The class list, the split list, the image folder or listed images do not exist, or images
            are broken links or not regular files.
        ValueError: There is no image; an id stands for several files or is not an image id; the class list cannot be
            used, or ``metainfo`` has a palette for another number of classes.
    """

    def __init__(self,
                 classes: Union[str, Sequence[str]],
                 data_root: str = '',
                 data_prefix: Optional[dict] = None,
                 ann_file: str = '',
                 img_suffixes: Sequence[str] = IMAGE_SUFFIXES,
                 **kwargs: Any) -> None:
        self.img_suffixes = tuple(suffix.lower() for suffix in img_suffixes)
        if isinstance(classes, str) and os.path.isfile(os.path.join(data_root, classes)):
            classes = os.path.join(data_root, classes)
        names = ('background', *read_class_names(classes))
        metainfo = {'palette': index_palette(len(names)), **(kwargs.pop('metainfo', None) or {}), 'classes': names}
        if len(metainfo['palette']) != len(names):
            raise UserError(f'the config has colors for {len(metainfo["palette"])} classes, but with the background '
                            f'there are {len(names)}: {first_few(names)}. Name the classes with --classes, so that '
                            'models and colors fit them')
        super().__init__(ann_file=ann_file, data_root=data_root, metainfo=metainfo,
                         data_prefix=dict(data_prefix or dict(img_path='')), **kwargs)

    def load_data_list(self) -> list[dict]:
        """Find the images; see the base class.

        Returns:
            list[dict]: One entry per image, with ``image_id``.
        """
        folder = self.data_prefix['img_path']
        mask_folder = self.data_prefix.get('seg_map_path')
        if not os.path.isdir(folder or '.'):
            raise FileNotFoundError(f'image folder {folder} does not exist')
        if self.ann_file:
            ids = read_ids(self.ann_file)
            found = self._scan(folder, {os.path.dirname(image_id) for image_id in ids})
            self._require(ids, found, folder)
        else:
            found = self._scan(folder, _folders_below(folder, mask_folder))
            ids = [check_image_id(image_id, f'images of {folder}') for image_id in sorted(found)]
            self._require(ids, found, folder)
        entries = []
        for image_id in ids:
            entry = dict(img_path=os.path.join(folder, found[image_id][0]), image_id=image_id, label_map=None,
                         reduce_zero_label=self.reduce_zero_label, seg_fields=[])
            if mask_folder is not None:
                entry['seg_map_path'] = os.path.join(mask_folder, image_id + self.seg_map_suffix)
            entries.append(entry)
        return entries

    def _scan(self, folder: str, subfolders: set[str]) -> dict[str, list[str]]:
        """Map image ids to the files in the given folders, which are relative to ``folder``."""
        found: dict[str, list[str]] = {}
        for sub in sorted(subfolders):
            if not os.path.isdir(os.path.join(folder, sub)):
                continue
            with os.scandir(os.path.join(folder, sub)) as entries:
                names = sorted(entry.name for entry in entries if not entry.name.startswith('.') and not entry.is_dir())
            for name in names:
                stem, suffix = os.path.splitext(name)
                if suffix.lower() in self.img_suffixes:
                    image_id = os.path.join(sub, stem).replace(os.sep, '/')
                    found.setdefault(image_id, []).append(os.path.join(sub, name))
        return found

    def _require(self, ids: Sequence[str], found: dict[str, list[str]], folder: str) -> None:
        """Raise one error about listed images that do not exist or are not unique."""
        if not ids:
            raise ValueError(f'{folder} holds no image with one of the suffixes {", ".join(self.img_suffixes)}')
        missing = [image_id for image_id in ids if image_id not in found]
        if missing:
            raise FileNotFoundError(f'{len(missing)} of {len(ids)} images of {self.ann_file} do not exist in {folder}: '
                                    f'{first_few(missing)} (with none of {", ".join(self.img_suffixes)})')
        twice = [image_id for image_id in ids if len(found[image_id]) > 1]
        if twice:
            raise ValueError(f'{len(twice)} image ids stand for several files, such as {found[twice[0]]} in {folder}: '
                             f'{first_few(twice)}; rename them, or set img_suffixes')
        broken = missing_files([os.path.join(folder, found[image_id][0]) for image_id in ids])
        if broken:
            raise FileNotFoundError(f'{len(broken)} of {len(ids)} images are broken links or not regular files: '
                                    f'{first_few(broken)}')


def _folders_below(folder: str, left_out: Optional[str]) -> set[str]:
    """Return all folders below ``folder`` and itself, relative to it, without hidden ones and ``left_out``."""
    left_out = os.path.realpath(left_out) if left_out else None
    below = set()
    for current, subfolders, _ in os.walk(folder or '.', followlinks=True):
        subfolders[:] = [name for name in subfolders if not name.startswith('.')
                         and os.path.realpath(os.path.join(current, name)) != left_out]
        relative = os.path.relpath(current, folder or '.')
        below.add('' if relative == '.' else relative)
    return below
