"""Lists of class names and of image ids, and the colors of classes."""

import logging
import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Union

from mmengine.logging import print_log

from mmwsss.utils import first_few, image_id_of, read_json, read_text

__all__ = ['foreground_classes', 'index_palette', 'is_background', 'read_class_names', 'read_ids']

_UNUSABLE = re.compile(r'[\x00-\x1f\x7f\ud800-\udfff]')  # control characters and halves of characters
_BACKGROUND = ('background', '__background__', '_background_')


def is_background(name: str) -> bool:
    """Return whether a class name means the background, in any case and with or without underscores around it.

    Args:
        name (str): The class name.

    Returns:
        bool: True for ``background``, ``__background__`` and the like.
    """
    return str(name).strip().lower() in _BACKGROUND


def read_class_names(source: Union[str, os.PathLike, Sequence[str]]) -> tuple[str, ...]:
    """Read the foreground classes from a file, a comma-separated string or a sequence.

    Classes whose names differ only in case, Unicode form or blanks are probably one class; one warning lists them.

    Args:
        source (str, PathLike or Sequence[str]): A text file with one class per line (lines that start with ``#`` are
            comments), a JSON file with a list of names, names separated by commas, or the names themselves.
            ``background`` may come first (in any case, or as ``__background__``); it is dropped.

    Returns:
        tuple[str, ...]: The foreground classes, in order.

    Raises:
        FileNotFoundError: ``source`` looks like a file that does not exist.
        ValueError: There is no class, a name is not text, a class occurs twice, or the background is not first.

    Examples:
        >>> read_class_names('background, cat, guinea pig')
        ('cat', 'guinea pig')
    """
    names, origin = _raw_names(source)
    not_text = [name for name in names if not isinstance(name, str) or _UNUSABLE.search(name.strip())]
    if not_text:
        raise ValueError(f'{origin} contains {not_text[0]!r}, which is not a class name: write names as plain text')
    names = [name.strip() for name in names]
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
    _warn_about_similar_names(tuple(names))
    return tuple(names)


@lru_cache(maxsize=256)
def _warn_about_similar_names(names: tuple[str, ...]) -> None:
    """Warn, once per process and list, about names that differ only in case, Unicode form or blanks."""
    groups = defaultdict(list)
    for name in names:
        groups[''.join(unicodedata.normalize('NFKC', name).casefold().split())].append(name)
    similar = [' and '.join(map(repr, group)) for group in groups.values() if len(group) > 1]
    if similar:
        print_log(f'classes differ only in case, Unicode form or blanks, and are probably the same: '
                  f'{"; ".join(similar[:5])}. Rename them if so', logger='current', level=logging.WARNING)


def _raw_names(source: Union[str, os.PathLike, Sequence[str]]) -> tuple[list, str]:
    """Return the unfiltered names and a description of where they come from."""
    if not isinstance(source, (str, os.PathLike)):
        return list(source), f'the list of classes {list(source)!r}'
    path = Path(source)
    if os.path.isfile(source):
        if path.suffix.lower() != '.json':
            lines = read_text(path, 'class list').splitlines()
            return [line for line in lines if not line.startswith('#')], f'class list {path}'
        names = read_json(path, 'class list')
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


def read_ids(path: Union[str, os.PathLike]) -> list[str]:
    """Read a split list: one image id per line. Empty lines are skipped and suffixes of images are cut.

    Args:
        path (str or PathLike): The list.

    Returns:
        list[str]: The ids in order.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is empty or not a text file, a line is not an image id, or an id occurs twice.
    """
    lines = read_text(path, 'split list').splitlines()
    ids = [image_id_of(line, f'split list {path}, line {number}') for number, line in enumerate(lines, 1)
           if line.strip()]
    if not ids:
        raise ValueError(f'split list {path} is empty')
    if len(set(ids)) != len(ids):
        twice = [image_id for image_id, count in Counter(ids).items() if count > 1]
        raise ValueError(f'split list {path} names {len(twice)} images more than once: {first_few(twice)}')
    return ids


def index_palette(num_colors: int = 256) -> list[list[int]]:
    """Return the colors of class indices in PASCAL VOC: the bits of an index, spread over red, green and blue.

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
