"""Image-level labels from folders: one folder per class, or a folder of index masks."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Optional, Union

import numpy as np
from mmengine.logging import print_log
from PIL import Image
from rich.progress import track

from mmwsss.utils import (
    IMAGE_SUFFIXES,
    MASK_MODES,
    check_image_id,
    first_few,
    image_id_of,
    missing_files,
    require_mask_mode,
)

from ..class_names import is_background, read_class_names
from ..image_labels import ImageLabels

__all__ = ['labels_from_folders', 'labels_from_mask_files', 'labels_from_masks', 'mask_values']


def labels_from_folders(root: Union[str, os.PathLike], classes: Optional[Sequence[str]] = None,
                        flat_ids: bool = False) -> ImageLabels:
    """Label an image with the name of the folder it lies in.

    Args:
        root (str or PathLike): Holds one folder per class, which holds images, also further down.
            A folder called ``background`` gives images without a label.
        classes (Sequence[str], optional): Foreground classes. None takes all folders, sorted.
        flat_ids (bool): Use only the file name as the id instead of the path below ``root``;
            an image that lies in several class folders then gets all their labels.

    Returns:
        ImageLabels: One entry per image.

    Raises:
        FileNotFoundError: ``root`` does not exist or contains no folder with images, or an image is a broken link.
        ValueError: A folder is not among ``classes``, or a file name cannot be an image id.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f'image folder {root} does not exist')
    found: dict[str, list[str]] = {}
    names = []
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        images = sorted(path for path in folder.rglob('*') if path.suffix.lower() in IMAGE_SUFFIXES
                        and not path.name.startswith('.') and not path.is_dir())
        broken = missing_files(images)
        if broken:
            raise FileNotFoundError(f'{len(broken)} images below {root} are broken links or not regular files: '
                                    f'{first_few(broken)}')
        is_class = not is_background(folder.name)
        if images and is_class:
            names.append(folder.name)
        for image in images:
            image_id = image.stem if flat_ids else image.relative_to(root).with_suffix('').as_posix()
            check_image_id(image_id, f'images below {root}')
            found.setdefault(image_id, []).extend([folder.name] if is_class else [])
    if not names:
        raise FileNotFoundError(f'{root} holds no folder with images: expected {root}/<class>/*.jpg')
    return ImageLabels(read_class_names(names if classes is None else classes), found,
                       dict(kind='folders', path=str(root), flat_ids=flat_ids))


def mask_values(path: Union[str, os.PathLike]) -> frozenset[int]:
    """Return the values that occur in an index mask.

    Args:
        path (str or PathLike): Single-channel image: palette, 8-bit, or 16-bit.

    Returns:
        frozenset[int]: The values, 255 included if it occurs.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not a regular file, cannot be decoded, or has several channels (a colored picture of a
            mask contains no indices).
    """
    try:
        with Image.open(path) as image:
            mode = image.mode
            if mode in ('P', 'L'):
                return frozenset(np.flatnonzero(image.histogram()).tolist())
            values = np.unique(np.asarray(image)) if mode in MASK_MODES else np.array(())
    except FileNotFoundError:
        raise
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f'mask {path} cannot be read: {error}') from error
    require_mask_mode(mode, path)
    return frozenset(values.astype(int).tolist())


def labels_from_masks(mask_dir: Union[str, os.PathLike], classes: Sequence[str],
                      ids: Optional[Sequence[str]] = None, suffix: str = '.png',
                      ignore_index: int = 255, min_pixels: int = 1,
                      show_progress: bool = False) -> ImageLabels:
    """Label an image with every class that its index mask contains.

    Args:
        mask_dir (str or PathLike): Folder of masks, named ``<image id><suffix>``.
        classes (Sequence[str]): Foreground classes; class c has the mask value c + 1.
        ids (Sequence[str], optional): The images. None takes every mask in the folder and below.
        suffix (str): Ending of the mask files.
        ignore_index (int): Mask value that means nothing, besides 0 for background.
        min_pixels (int): Classes with fewer pixels than this are not counted as shown.
        show_progress (bool): Show a progress bar on stderr.

    Returns:
        ImageLabels: One entry per image.

    Raises:
        FileNotFoundError: The folder or masks in it are missing; the first few are listed.
        ValueError: Masks hold values beyond the classes, or cannot be read; the first are listed.
    """
    mask_dir = Path(mask_dir)
    if ids is None:
        ids = _ids_in(mask_dir, suffix)
    files = {image_id: str(mask_dir / f'{image_id}{suffix}') for image_id in ids}
    return labels_from_mask_files(files, classes, ignore_index, min_pixels, show_progress=show_progress,
                                  origin=str(mask_dir))


def labels_from_mask_files(files: Mapping[str, str], classes: Sequence[str], ignore_index: int = 255,
                           min_pixels: int = 1, remap: Optional[Callable[[frozenset], frozenset]] = None,
                           show_progress: bool = False, origin: str = 'the list of masks') -> ImageLabels:
    """Label images with the classes that the given index masks contain.

    Args:
        files (Mapping[str, str]): Image id -> mask.
        classes (Sequence[str]): Foreground classes; class c has the mask value c + 1.
        ignore_index (int): Mask value that means nothing, besides 0 for background.
        min_pixels (int): Classes with fewer pixels than this are not counted as shown.
        remap (Callable, optional): Changes the set of values found in a mask before they are looked up.
        show_progress (bool): Show a progress bar on stderr.
        origin (str): Where the masks are from, for messages and the ``source`` of the labels.

    Returns:
        ImageLabels: One entry per image.

    Raises:
        FileNotFoundError: Masks are missing; the first few are listed.
        ValueError: Masks hold values beyond the classes, or cannot be read; the first are listed.
    """
    classes = read_class_names(classes)
    for image_id in files:
        check_image_id(image_id, f'masks of {origin}')
    missing = missing_files(list(files.values()))
    if missing:
        raise FileNotFoundError(f'{len(missing)} of {len(files)} masks of {origin} do not exist: {first_few(missing)}')
    found, offenders = {}, []
    for image_id, values in zip(files, _read_all(list(files.values()), min_pixels, show_progress)):
        if isinstance(values, ValueError):
            offenders.append(str(values))
            continue
        values = sorted((values if remap is None else remap(values)) - {0, ignore_index})
        outside = [value for value in values if not 0 < value <= len(classes)]
        if outside:
            offenders.append(f'{image_id} has the value {outside[-1]}')
        found[image_id] = [classes[value - 1] for value in values if 0 < value <= len(classes)]
    if offenders:
        raise ValueError(f'{len(offenders)} of {len(files)} masks of {origin} do not fit {len(classes)} foreground '
                         f'classes (values 0 to {len(classes)} and {ignore_index}): {"; ".join(offenders[:5])}')
    if found and not any(found.values()):
        print_log(f'the {len(found)} masks of {origin} contain no class, only the values 0 (background) and '
                  f'{ignore_index} (ignored): if {ignore_index} marks objects in them, replace it by the index of '
                  'their class', logger='current', level=logging.WARNING)
    return ImageLabels(classes, found, dict(kind='masks', path=origin))


def _ids_in(mask_dir: Path, suffix: str) -> list[str]:
    """Return the ids of all masks in a folder, sorted."""
    if not mask_dir.is_dir():
        raise FileNotFoundError(f'mask folder {mask_dir} does not exist')
    ids = sorted(path.relative_to(mask_dir).as_posix()[:-len(suffix)]
                 for path in mask_dir.rglob(f'*{suffix}') if not path.name.startswith('.'))
    if not ids:
        raise FileNotFoundError(f'mask folder {mask_dir} holds no *{suffix} file')
    return [image_id_of(image_id, f'masks of {mask_dir}') for image_id in ids]


def _read_all(paths: Sequence[str], min_pixels: int, show_progress: bool) -> list:
    """Read the values of many masks in threads; errors are returned in their place."""

    def read(path: str) -> Union[frozenset, ValueError]:
        try:
            return mask_values(path) if min_pixels <= 1 else _large_values(path, min_pixels)
        except ValueError as error:
            return error

    with ThreadPoolExecutor(max_workers=min(8, 2 * (os.cpu_count() or 1))) as pool:
        return list(track(pool.map(read, paths), 'reading masks', total=len(paths),
                          disable=not show_progress))


def _large_values(path: str, min_pixels: int) -> frozenset[int]:
    """Return the mask values with at least ``min_pixels`` pixels."""
    mask_values(path)
    with Image.open(path) as image:
        values, counts = np.unique(np.asarray(image), return_counts=True)
    return frozenset(values[counts >= min_pixels].astype(int).tolist())
