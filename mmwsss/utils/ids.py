"""Image ids: names of images that are safe to use as paths below a folder."""

import os
import re
from typing import Any

__all__ = ['IMAGE_SUFFIXES', 'check_image_id', 'image_id_of']

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')
"""tuple[str, ...]: Suffixes of image files, in lower case."""

_DRIVE = re.compile(r'[A-Za-z]:')
_CONTROL = re.compile(r'[\x00-\x1f\x7f]')
_MAX_PART_BYTES = 220  # file systems allow 255; suffixes and the names of temporary files need the rest


def check_image_id(image_id: Any, origin: Any = '') -> str:
    """Return an image id unchanged, or refuse one that could lead out of the folder that it is used in.

    An image id is the path of an image below its folder, without suffix and with ``/`` between folders: ``photo_1`` or
    ``trip/photo_1``. Everything that reads ids calls this function, and so does everything that opens a file for
    writing under a name made from an id.

    Args:
        image_id (Any): The id to check.
        origin (Any): Where it was read, for instance a path or ``'tags.csv, row 3'``; named in the error.

    Returns:
        str: ``image_id``.

    Raises:
        ValueError: The id is not text, is empty, is absolute, contains ``.`` or ``..`` as a folder, a backslash, a
            control character or a drive, is not valid Unicode, or has a part that is too long for a file name.

    Examples:
        >>> check_image_id('trip/photo_1')
        'trip/photo_1'
        >>> check_image_id('../photo_1', 'tags.csv, row 3')
        Traceback (most recent call last):
        ValueError: tags.csv, row 3: '../photo_1' cannot be an image id: it leaves its folder through '..'; ...
    """
    problem = _problem_of(image_id)
    if problem is None:
        return image_id
    where = f'{origin}: ' if origin else ''
    shown = repr(image_id) if len(repr(image_id)) <= 120 else f'{repr(image_id)[:120]}...'
    raise ValueError(f'{where}{shown} cannot be an image id: {problem}; an image id is a path below the image folder, '
                     "such as 'photo_1' or 'trip/photo_1'")


def _problem_of(image_id: Any) -> Any:
    """Return what is wrong with an image id, or None."""
    if not isinstance(image_id, str):
        return f'it is of type {type(image_id).__name__}, not text'
    if not image_id.strip():
        return 'it is empty'
    if _CONTROL.search(image_id):
        return 'it contains a control character'
    if image_id.startswith(('/', '\\')) or _DRIVE.match(image_id):
        return 'it is an absolute path'
    if '\\' in image_id:
        return "it contains a backslash (use '/' between folders)"
    parts = image_id.split('/')
    if '..' in parts:
        return "it leaves its folder through '..'"
    if '.' in parts or '' in parts:
        return 'one of its folders, or its name, is empty or a single dot'
    try:
        longest = max(len(part.encode('utf-8')) for part in parts)
    except UnicodeEncodeError:
        return 'it is not valid Unicode (rename the file)'
    if longest > _MAX_PART_BYTES:
        return f'a part of it has {longest} bytes, at most {_MAX_PART_BYTES} fit a file name'
    return None


def image_id_of(name: str, origin: Any = '') -> str:
    """Return the image id that a file name in a list or table stands for.

    Backslashes become slashes, ``./`` and doubled slashes are dropped, and the suffix of an image is cut. Other
    suffixes stay, because ids may contain dots.

    Args:
        name (str): For instance ``./sub/photo.JPG`` or ``sub\\photo``.
        origin (Any): Where the name was read; named in the error.

    Returns:
        str: For instance ``sub/photo``.

    Raises:
        ValueError: The name cannot be an image id, see :func:`check_image_id`.
    """
    path = str(name).strip().replace('\\', '/')
    root = '/' if path.startswith('/') else ''
    path = root + '/'.join(part for part in path.split('/') if part not in ('', '.'))
    stem, suffix = os.path.splitext(path)
    return check_image_id(stem if suffix.lower() in IMAGE_SUFFIXES else path, origin)
