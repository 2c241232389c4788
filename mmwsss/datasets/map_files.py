"""Read and write label maps and class activation maps."""

import io
import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from mmwsss.checkpoints import load_pickled_npy
from mmwsss.utils import atomic_path
from mmwsss.utils.errors import UserError
from mmwsss.utils.files import call_again_if_disturbed

from .class_names import index_palette

__all__ = ['as_label_map', 'is_picture', 'read_cams', 'read_label_map', 'read_note', 'read_scores', 'write_cams',
           'write_label_map']

PathLike = Union[str, os.PathLike]
_PNG_END = b'\x00\x00\x00\x00IEND\xaeB`\x82'
_NOTE = 'mmwsss'
BACKGROUND = -1
"""int: Channel of a background plane."""


def write_label_map(labels: np.ndarray,
                    path: PathLike,
                    palette: Optional[Sequence[Sequence[int]]] = None,
                    note: Optional[str] = None) -> None:
    """Write a label map as a palette PNG, whole or not at all.

    Args:
        labels (np.ndarray): (H, W) integers in 0..255.
        path (str or PathLike): The PNG; its folder is made.
        palette (Sequence, optional): RGB in 0..255 of the first values; the others get VOC's colors.
        note (str, optional): Text that goes into the file; see :func:`read_note`.

    Raises:
        UserError: The labels are not of this form; see :func:`as_label_map`.
    """
    labels = as_label_map(labels, path)
    colors = index_palette(256)
    colors[:len(palette or ())] = [list(color) for color in palette or ()]
    image = Image.fromarray(labels).convert('P')
    image.putpalette([int(value) for color in colors for value in color])
    info = PngInfo()
    if note is not None:
        info.add_text(_NOTE, note)
    with atomic_path(path) as tmp:
        image.save(tmp, pnginfo=info)


def as_label_map(labels: np.ndarray, origin: Any) -> np.ndarray:
    """Return labels as 8-bit integers, and refuse those that would become other values.

    Args:
        labels (np.ndarray): (H, W) whole numbers.
        origin (Any): What the labels are of, such as the path of the file; named in the error.

    Returns:
        np.ndarray: (H, W) uint8 with the same values.

    Raises:
        UserError: The labels have several channels, or a value is not a whole number of 0 to 255.
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.dtype.kind not in 'iubf':
        raise UserError(f'{origin}: a label map has the shape (H, W) and whole numbers, got {labels.shape} of type '
                        f'{labels.dtype}')
    with np.errstate(invalid='ignore'):
        found = labels.astype(np.uint8)
    if (found != labels).any():
        wrong = np.unique(labels[found != labels])[:5].tolist()
        raise UserError(f'{origin}: labels hold {", ".join(map(str, wrong))}, but a label map has 8 bits: 0 to 254 for '
                        'the classes, and 255 for ignored pixels')
    return found


def read_note(path: PathLike) -> Optional[str]:
    """Read the text that :func:`write_label_map` put into a PNG; None if there is none.

    Args:
        path (str or PathLike): The PNG.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged.
    """
    try:
        with Image.open(path) as image:
            return image.info.get(_NOTE)
    except FileNotFoundError:
        raise
    except (OSError, SyntaxError) as error:
        raise ValueError(f'label map {path} is damaged: {error}') from error


def read_label_map(path: PathLike, strict: bool = False) -> np.ndarray:
    """Read an index mask.

    Args:
        path (str or PathLike): Single-channel image: palette or gray.
        strict (bool): Accept a PNG only that is whole to the last byte, checksums included; decoders let some
            damage pass.

    Returns:
        np.ndarray: (H, W) uint8, or int32 for more than 8 bits.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged or cut short, or has several channels.
    """
    content = io.BytesIO(Path(path).read_bytes())
    try:
        if strict:
            _verify_png(content)
        with Image.open(content) as image:
            mode, labels = image.mode, np.array(image)
    except (OSError, SyntaxError, UnidentifiedImageError) as error:
        raise ValueError(f'label map {path} is damaged: {error}') from error
    if mode not in ('P', 'L', 'I', 'I;16', 'I;16B'):
        raise ValueError(f'{path} is a {mode} picture; index masks have one channel whose values are class '
                         'indices (palette or gray PNG)')
    return labels if labels.dtype == np.uint8 else labels.astype(np.int32)


def is_picture(path: PathLike) -> bool:
    """Return whether a file is a whole picture of any kind, which a damaged label map is not.

    Args:
        path (str or PathLike): The file; need not exist.

    Returns:
        bool: Whether all of it can be read.
    """
    try:
        content = io.BytesIO(Path(path).read_bytes())
        with Image.open(content) as image:
            image.load()
            name = image.format
        if name == 'PNG':
            _verify_png(content)
    except (OSError, SyntaxError, ValueError):  # UnidentifiedImageError is an OSError
        return False
    return True


def _verify_png(content: io.BytesIO) -> None:
    """Raise an error of Pillow's kind unless the checksums of all chunks hold and the end chunk is the end."""
    if not content.getvalue().endswith(_PNG_END):
        raise OSError('it does not end as a PNG does')
    with Image.open(content, formats=['PNG']) as image:
        image.verify()
    content.seek(0)


def write_cams(cams: np.ndarray, channels: Sequence[int], size: Sequence[int], path: PathLike) -> None:
    """Write the class activation maps (CAMs) of an image, whole or not at all.

    The suffix chooses the format. ``.npz``: compressed, half precision, and the same bytes for the same maps.
    ``.npy``: the pickled dictionary ``{key: (h, w) float32}`` that WSSS code bases exchange, with keys counted from 0,
    or from 1 if there is a background plane, which has the key 0.

    Args:
        cams (np.ndarray): (P, h, w) in [0, 1], maps of the present classes.
        channels (Sequence[int]): The P foreground channels (mask value minus 1), increasing; a background plane comes
            first and has the channel -1.
        size (Sequence[int]): (H, W) of the image; the maps may be smaller.
        path (str or PathLike): The file; its folder is made.
    """
    numbers = np.asarray(channels, np.int16)
    with atomic_path(path) as tmp:
        if tmp.suffix == '.npy':
            first = int(BACKGROUND in numbers)
            planes = zip(numbers.tolist(), np.ascontiguousarray(cams, np.float32))
            np.save(tmp, {channel + first: plane for channel, plane in planes})
        else:
            np.savez_compressed(tmp, cams=cams.astype(np.float16), channels=numbers,
                                size=np.asarray(size, np.int32))


def read_cams(path: PathLike, first_key: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Read the class activation maps (CAMs) of an image, in our format or in that of other WSSS code bases.

    Both formats of :func:`write_cams` are accepted, and ``.npy`` files with ``key`` or ``keys`` beside ``high_res`` or
    ``cam`` (P, H, W), or with an array (C, H, W). Code in a pickle is never run.

    Args:
        path (str or PathLike): The file.
        first_key (int): Key of the first foreground class in a dictionary; with 1, key 0 is the
            background, which is left out.

    Returns:
        tuple[np.ndarray, np.ndarray]: Maps (P, h, w) floating point, and their channels (P,) int64,
        increasing.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, of none of these layouts, or holds NaN or infinite values.
    """
    cams, channels = _read_planes(path, first_key)
    if first_key == 0 and Path(path).suffix != '.npz' and (channels < 0).any():
        raise ValueError(f'{path} has the class key {channels.min()}, keys start at 0')
    foreground = channels >= 0
    return cams[foreground], channels[foreground]


def read_scores(path: PathLike) -> tuple[np.ndarray, np.ndarray]:
    """Read class activation maps with a background plane, such as those of ``crf_alphas``.

    Args:
        path (str or PathLike): ``.npz`` of :func:`write_cams`, or ``.npy`` in one of the layouts of
            :func:`read_cams`, where key 0 is the background.

    Returns:
        tuple[np.ndarray, np.ndarray]: Planes (1 + P, h, w) floating point, background first, and their mask values
        (1 + P,) int64: 0, then channel + 1, increasing.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, of none of these layouts, holds NaN or infinite values, or has no background
            plane.
    """
    planes, channels = _read_planes(path, first_key=1)
    if not len(channels) or channels[0] != BACKGROUND:
        raise ValueError(f'{path} has no background plane: make the maps with tools/make_pseudo_labels.py '
                         '--crf-alphas')
    return planes, channels + 1


def _read_planes(path: PathLike, first_key: int) -> tuple[np.ndarray, np.ndarray]:
    """Return planes (P, h, w) and their channels (P,), increasing; ``first_key`` applies to pickled dictionaries."""
    own = Path(path).suffix == '.npz'
    keys, cams = _keys_and_maps(_read_npz(path) if own else load_pickled_npy(path), path)
    channels = keys if own else keys - first_key
    if not np.isfinite(cams).all():
        count = int(np.count_nonzero(~np.isfinite(cams)))
        raise ValueError(f'{path}: the CAMs of image {Path(path).stem!r} hold {count} NaN or infinite values; make '
                         'them again, or leave the image out of the list')
    order = np.argsort(channels, kind='stable')
    return cams[order], channels[order]


def _read_npz(path: PathLike) -> dict[str, np.ndarray]:
    def read() -> dict[str, np.ndarray]:
        with np.load(path, allow_pickle=False) as file:
            return {'keys': file['channels'], 'cam': file['cams']}

    try:
        return call_again_if_disturbed(read)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f'CAMs {path} are damaged or of another layout: {error}') from error


def _keys_and_maps(content: Any, path: PathLike) -> tuple[np.ndarray, np.ndarray]:
    """Return class keys (P,) int64 and maps (P, h, w) of any of the layouts."""
    if isinstance(content, np.ndarray):
        keys, cams = np.arange(len(content) if content.ndim else 0), content
    elif isinstance(content, Mapping) and {'key', 'keys'} & set(content):
        keys = content.get('keys', content.get('key'))
        cams = content.get('high_res', content.get('cam'))
    elif isinstance(content, Mapping) and all(isinstance(key, (int, np.integer)) for key in content):
        keys, cams = list(content), [content[key] for key in content]
    else:
        raise ValueError(f'{path} holds no CAMs: expected {{class index: (H, W)}}, or keys beside '
                         f'cam or high_res, got {_describe(content)}')
    try:
        keys, cams = np.asarray(keys, np.int64).reshape(-1), np.asarray(cams)
        cams = cams if len(keys) else np.zeros((0, 1, 1), np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f'{path} holds maps of several sizes, or none: {error}') from error
    if cams.ndim != 3 or len(cams) != len(keys) or cams.dtype.kind != 'f':
        raise ValueError(f'{path} holds {len(keys)} class keys and maps {cams.shape} {cams.dtype}, '
                         f'expected ({len(keys)}, H, W) floating point')
    return keys, cams


def _describe(content: Any) -> str:
    keys = f' with keys {list(content)[:5]}' if isinstance(content, Mapping) else ''
    return type(content).__name__ + keys
