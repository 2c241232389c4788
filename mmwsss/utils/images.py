"""Read the size of pictures on disk and check whether they can be read.

One convention holds everywhere: a photograph has the size and the orientation in which it is displayed, as its EXIF
data say. mmcv decodes photographs in this way, so class activation maps and label maps have this size, too. Label maps
have no orientation of their own.
"""

import os
from functools import cache
from io import BytesIO
from typing import Optional, Union

import cv2
import numpy as np
from PIL import Image, ImageOps

__all__ = ['MASK_MODES', 'image_size', 'mask_size', 'read_photo', 'require_mask_mode', 'why_unreadable']

MASK_MODES = ('1', 'L', 'P', 'I', 'I;16', 'I;16B')
"""tuple[str, ...]: Pillow's modes of pictures with one channel of whole numbers, as index masks have."""

_ORIENTATION = 0x0112  # EXIF tag
_TURNED_BY_90_DEGREES = (5, 6, 7, 8)
_NOT_TURNED_BY_EVERY_CV2 = ('PNG', 'WEBP')
_ERRORS = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


def image_size(path: Union[str, os.PathLike]) -> tuple[int, int]:
    """Return the size of a picture as it is displayed; only its header is read (TIFF: all of it).

    Args:
        path (str or PathLike): The picture.

    Returns:
        tuple[int, int]: Height and width in pixels, after the rotation that EXIF data ask for.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not a regular file or not a picture that can be read, or OpenCV would read it with another
            orientation, because the installed release ignores EXIF data in files of this format.
    """
    _require_file(path, 'image')
    try:
        with Image.open(path) as image:
            if image.format == 'TIFF':
                image.load()  # Pillow rotates these images itself, before or after decoding, depending on its version.
            kind, (width, height) = image.format, image.size
            orientation = image.getexif().get(_ORIENTATION, 1)
    except _ERRORS as error:
        raise ValueError(f'image {path} cannot be read: {_explain(error)}') from error
    if orientation in range(2, 9) and kind in _NOT_TURNED_BY_EVERY_CV2 and not cv2_turns(kind):
        raise ValueError(f'image {path} is stored with another orientation than it is displayed with (EXIF), which '
                         f'OpenCV {cv2.__version__} ignores in {kind} files: save it as JPEG, or install '
                         'opencv-python 4.12 or newer')
    return (width, height) if orientation in _TURNED_BY_90_DEGREES else (height, width)


@cache
def cv2_turns(kind: str) -> bool:
    """Return whether the installed OpenCV turns pictures as their EXIF data say.

    Args:
        kind (str): Pillow's name of a file format, such as ``'WEBP'``.
    """
    exif, file = Image.Exif(), BytesIO()
    exif[_ORIENTATION] = _TURNED_BY_90_DEGREES[1]
    Image.new('RGB', (2, 1)).save(file, kind, exif=exif)
    return cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR).shape[:2] == (2, 1)


def read_photo(path: Union[str, os.PathLike]) -> np.ndarray:
    """Read a photograph as it is displayed.

    Args:
        path (str or PathLike): The picture.

    Returns:
        np.ndarray: (H, W, 3) uint8 in RGB order; the size is that of :func:`image_size`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not a regular file or not a picture that can be read.
    """
    _require_file(path, 'image')
    try:
        with Image.open(path) as image:
            image.load()  # Pillow rotates TIFF images itself.
            return np.array(ImageOps.exif_transpose(image).convert('RGB'))
    except _ERRORS as error:
        raise ValueError(f'image {path} cannot be read: {_explain(error)}') from error


def mask_size(path: Union[str, os.PathLike]) -> tuple[int, int]:
    """Return the size of an index mask or label map; only its header is read.

    Args:
        path (str or PathLike): The mask.

    Returns:
        tuple[int, int]: Height and width in pixels, as stored.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not a regular file, cannot be read, or has several channels.
    """
    _require_file(path, 'mask')
    try:
        with Image.open(path) as image:
            mode, (width, height) = image.mode, image.size
    except _ERRORS as error:
        raise ValueError(f'mask {path} cannot be read: {_explain(error)}') from error
    require_mask_mode(mode, path)
    return height, width


def require_mask_mode(mode: str, path: Union[str, os.PathLike]) -> None:
    """Refuse a picture that is no index mask.

    Args:
        mode (str): Pillow's mode of the picture.
        path (str or PathLike): The picture, for the error.

    Raises:
        ValueError: ``mode`` is not one of :data:`MASK_MODES`.
    """
    if mode not in MASK_MODES:
        raise ValueError(f'mask {path} is a {mode} picture; index masks have one channel whose values are class '
                         'indices (palette or gray PNG)')


def why_unreadable(path: Union[str, os.PathLike]) -> Optional[str]:
    """Decode a picture and return why this fails.

    Args:
        path (str or PathLike): The picture.

    Returns:
        str or None: For instance ``'a.jpg (image file is truncated)'``; None if the picture can be read.
    """
    try:
        _require_file(path, 'image')
        with Image.open(path) as image:
            image.load()
    except _ERRORS as error:
        return f'{path} ({_explain(error)})'
    return None


def _require_file(path: Union[str, os.PathLike], what: str) -> None:
    """Refuse what is not a regular file: opening a pipe would wait forever."""
    if not os.path.exists(path):
        raise FileNotFoundError(f'{what} {path} does not exist')
    if not os.path.isfile(path):
        raise ValueError(f'{what} {path} is not a regular file')


def _explain(error: Exception) -> str:
    """Return the message of an error, with the setting that helps where there is one."""
    if isinstance(error, Image.DecompressionBombError):
        return f'{error} Set PIL.Image.MAX_IMAGE_PIXELS to allow it'
    return str(error)
