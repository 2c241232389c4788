"""Parse cells of tag tables: column names, tags, and yes or no."""

import re
from collections.abc import Iterable
from typing import NamedTuple, Optional

__all__ = ['IMAGE_COLUMNS', 'TAG_COLUMNS', 'YES_OR_NO', 'Tags', 'check_tags', 'is_number', 'split_tags', 'truth_of']

IMAGE_COLUMNS = ('image', 'image_id', 'imageid', 'id', 'file', 'file_name', 'filename', 'path', 'image_path', 'img',
                 'img_path', 'name', 'photo')
TAG_COLUMNS = ('tags', 'tag', 'labels', 'label', 'classes', 'class', 'categories', 'category')
YES_OR_NO = '1 or 0, true or false, yes or no, x or empty'

_YES = {'1', '1.0', 'true', 't', 'yes', 'y', 'x'}
_NO = {'', '0', '0.0', 'false', 'f', 'no', 'n'}
_SEPARATORS = re.compile(r'[;|,]')
_CONTROL = re.compile(r'[\x00-\x1f\x7f]')


class Tags(NamedTuple):
    """The tags that one entry of a table gives to an image.

    Attributes:
        where (str): Place in the file, for errors, such as ``'line 3'``.
        image (str): The image as the table names it.
        tags (list[str]): Its tags.
    """

    where: str
    image: str
    tags: list[str]


def split_tags(cell: str) -> list[str]:
    """Split a cell at ``;``, ``|`` and ``,`` into tags without surrounding blanks."""
    return [tag.strip() for tag in _SEPARATORS.split(cell) if tag.strip()]


def truth_of(cell: str) -> Optional[bool]:
    """Return whether a cell says yes or no, and None if it says neither."""
    cell = cell.strip().lower()
    return True if cell in _YES else False if cell in _NO else None


def is_number(cell: str) -> bool:
    """Return whether a cell is a number, which includes ``nan`` and ``inf``."""
    try:
        float(cell)
    except ValueError:
        return False
    return '_' not in cell


def check_tags(tags: Iterable[str], known_classes: Iterable[str], where: str) -> list[str]:
    """Return tags unchanged, or refuse those that cannot be meant as names of classes.

    Args:
        tags (Iterable[str]): The tags of an image.
        known_classes (Iterable[str]): Names that are classes in any case.
        where (str): Place of the tags, for errors.

    Returns:
        list[str]: The tags.

    Raises:
        ValueError: A tag is a number other than 0, 1, 2, ..., or contains a line break or another control character.
    """
    tags, known_classes = list(tags), set(known_classes)
    for tag in tags:
        if tag in known_classes:
            continue
        if is_number(tag) and not tag.isdigit():
            raise ValueError(f'{where}: {tag!r} is a number, not the name of a class. If the table contains scores, '
                             'apply a threshold first; if it is a class, list it in the classes (--classes)')
        if _CONTROL.search(tag):
            raise ValueError(f'{where}: the tag {tag!r:.80} contains a line break or another control character; is a '
                             'quote never closed?')
    return tags
