"""Reading and normalising lists of class names and of image ids."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Union

from mmwsss.utils import first_few

__all__ = [
    'IMAGE_SUFFIXES', 'foreground_classes', 'image_id_of', 'index_palette', 'is_background', 'read_class_names',
    'read_ids'
]

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')
_BACKGROUND = ('background', '__background__', '_background_')


def is_background(name: str) -> bool:
    """Tell whether a class name means the background, in any case or with underscores around it.

    Args:
        name (str): The class name.

    Returns:
        bool: True for ``background``, ``__background__`` and the like.
    """
    return str(name).strip().lower() in _BACKGROUND


def read_class_names(source: Union[str, os.PathLike, Sequence[str]]) -> tuple[str, ...]:
    """Read the foreground classes from a file, a comma-separated string or a sequence.

    Args:
        source (str, PathLike or Sequence[str]): A text file with a class per line, a JSON file with
            a list of names, names separated by commas, or the names themselves. ``background`` may
            stand first (in any case, or as ``__background__``); it is dropped.

    Returns:
        tuple[str, ...]: The foreground classes, in order.

    Raises:
        FileNotFoundError: ``source`` looks like a file that does not exist.
        ValueError: No class, a class twice, or background anywhere but first.

    Examples:
        >>> read_class_names('background, cat, guinea pig')
        ('cat', 'guinea pig')
    """
    names, origin = _raw_names(source)
    names = [str(name).strip() for name in names]
    names = [name for name in names if name]
    if names and is_background(names[0]):
        names = names[1:]
    if not names:
        raise ValueError(f'{origin} names no foreground class')
    late = [name for name in names if is_background(name)]
    if late:
        raise ValueError(f'{origin}: {late[0]!r} must stand first or be left out, because mask '
                         'value 0 is background')
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f'{origin} names classes more than once: {first_few(twice)}')
    return tuple(names)


def _raw_names(source: Union[str, os.PathLike, Sequence[str]]) -> tuple[list, str]:
    """Return the unfiltered names and a description of where they come from."""
    if not isinstance(source, (str, os.PathLike)):
        return list(source), f'the list of classes {list(source)!r}'
    path = Path(source)
    if path.is_file():
        text = path.read_text(encoding='utf-8-sig')
        if path.suffix.lower() != '.json':
            return text.splitlines(), f'class list {path}'
        names = json.loads(text)
        if isinstance(names, dict):
            names = names.get('classes')
        if not isinstance(names, list):
            raise ValueError(f'class list {path} must hold a JSON list of names')
        return names, f'class list {path}'
    if isinstance(source, os.PathLike) or path.suffix in ('.txt', '.json') or os.sep in source:
        raise FileNotFoundError(f'class list {path} does not exist')
    return source.split(','), f'the list of classes {source!r}'


def foreground_classes(classes: Sequence[str]) -> tuple[str, ...]:
    """Drop the background from an mmseg data set's ``metainfo['classes']``.

    Args:
        classes (Sequence[str]): Names by mask value; the first must be the background.

    Returns:
        tuple[str, ...]: Names of the mask values 1, 2, ...

    Raises:
        ValueError: There are no classes, or the first is not the background.
    """
    if not classes or not is_background(classes[0]) or len(classes) < 2:
        raise ValueError(
            "the data set's classes must be 'background' followed by the foreground classes "
            f'(mask value 0 is background), got {list(classes or [])[:5]!r}; give the data set '
            "metainfo=dict(classes=('background', ...)), or use PhotoDataset, which adds it")
    return tuple(classes[1:])


def image_id_of(name: str) -> str:
    """Turn a file name as people write it into an image id: the relative path without suffix.

    Only suffixes of images are cut, so that ids with dots in them survive.

    Args:
        name (str): For instance ``./sub/photo.JPG`` or ``sub\\photo``.

    Returns:
        str: For instance ``sub/photo``.
    """
    name = name.strip().replace('\\', '/')
    while name.startswith('./'):
        name = name[2:]
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in IMAGE_SUFFIXES else name


def read_ids(path: Union[str, os.PathLike]) -> list[str]:
    """Read a split list: one image id per line; empty lines are skipped, image suffixes cut.

    Args:
        path (str or PathLike): The list.

    Returns:
        list[str]: The ids in order.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It lists nothing, or an id twice.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'split list {path} does not exist')
    lines = path.read_text(encoding='utf-8-sig').splitlines()
    ids = [image_id_of(line) for line in lines if line.strip()]
    if not ids:
        raise ValueError(f'split list {path} is empty')
    if len(set(ids)) != len(ids):
        seen: set = set()
        twice = [i for i in ids if i in seen or seen.add(i)]
        raise ValueError(f'split list {path} names {len(twice)} images more than once: '
                         f'{first_few(twice)}')
    return ids


def index_palette(num_colors: int = 256) -> list[list[int]]:
    """Return the colours that PASCAL VOC gives to indices: bits of the index, spread over red, green and blue.

    Args:
        num_colors (int): At most 256.

    Returns:
        list[list[int]]: RGB in 0..255 per index.

    Examples:
        >>> index_palette(4)
        [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    """
    palette = []
    for index in range(num_colors):
        color = [0, 0, 0]
        for bit in range(8):
            color[bit % 3] |= ((index >> bit) & 1) << (7 - bit // 3)
        palette.append(color)
    return palette
