"""Find the photographs, videos and cameras that a command line or a caller names."""

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Union
from urllib.parse import unquote, urlparse

import cv2
import numpy as np

from mmwsss.utils import IMAGE_SUFFIXES, first_few
from mmwsss.utils.errors import UserError

__all__ = ['VIDEO_SUFFIXES', 'PhotoInput', 'find_inputs', 'video_frames']

VIDEO_SUFFIXES = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg')
"""tuple[str, ...]: Suffixes of video files, in lower case."""

_CAMERA = 'camera:'
Input = Union[str, os.PathLike, np.ndarray]


@dataclass(frozen=True)
class PhotoInput:
    """A photograph, a video or a camera.

    Attributes:
        image_id (str): Name of what is written for it: a relative path without suffix, unique among the inputs.
        path (str): The file, the URL, ``camera:0``, or empty for an array.
        kind (str): ``'photo'``, ``'video'`` or ``'camera'``.
        array (np.ndarray, optional): (H, W, 3) uint8 BGR, of inputs that are no files.
    """

    image_id: str
    path: str
    kind: str = 'photo'
    array: Optional[np.ndarray] = None


def find_inputs(inputs: Union[Input, Sequence[Input]]) -> list[PhotoInput]:
    """Find photographs, videos and cameras.

    Args:
        inputs (str, PathLike, np.ndarray or a sequence of them): Files; folders, which are searched recursively; glob
            patterns; URLs; ``camera:N``; or arrays (H, W, 3) uint8 BGR.

    Returns:
        list[PhotoInput]: In the given order, the files of a folder sorted by name. Where two would get the same id,
        the later one gets a number.

    Raises:
        UserError: An input does not exist, has an unknown suffix, or holds no photograph.
        TypeError: An array is not (H, W, 3) uint8.
    """
    if isinstance(inputs, (str, os.PathLike, np.ndarray)):
        inputs = [inputs]
    found: list[PhotoInput] = []
    for item in inputs:
        found.extend(_of_array(item) if isinstance(item, np.ndarray) else _of_text(os.fspath(item)))
    if not found:
        raise UserError('no input: name photographs, folders, glob patterns, URLs, videos or camera:0')
    return list(_with_unique_ids(found))


def video_frames(source: PhotoInput) -> tuple[float, int, Iterator[np.ndarray]]:
    """Open a video or a camera.

    Args:
        source (PhotoInput): With the kind ``'video'`` or ``'camera'``.

    Returns:
        tuple[float, int, Iterator[np.ndarray]]: Frames a second (25 where it is not known), number of frames (0 where
        it is not known), and the frames, (H, W, 3) uint8 BGR.

    Raises:
        UserError: It cannot be opened.
    """
    camera = source.kind == 'camera'
    capture = cv2.VideoCapture(int(source.path[len(_CAMERA):]) if camera else source.path)
    if not capture.isOpened():
        raise UserError(f'{source.path} cannot be opened: '
                        + ('is the camera connected?' if camera else 'it is damaged, or OpenCV lacks its codec'))
    rate = capture.get(cv2.CAP_PROP_FPS)
    count = 0 if camera else max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
    return rate if 0 < rate < 1000 else 25., count, _frames(capture)


def _frames(capture: Any) -> Iterator[np.ndarray]:
    try:
        while True:
            read, frame = capture.read()
            if not read:
                return
            yield frame
    finally:
        capture.release()


def _of_array(array: np.ndarray) -> list[PhotoInput]:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise TypeError(f'an image must be (H, W, 3) uint8 in BGR order, got {array.shape} {array.dtype}')
    return [PhotoInput('array', '', array=array)]


def _of_text(text: str) -> list[PhotoInput]:
    if text.startswith(_CAMERA):
        if not text[len(_CAMERA):].isdigit():
            raise UserError(f'{text!r} is no camera: name it by its number, such as camera:0')
        return [PhotoInput(text.replace(':', '_'), text, 'camera')]
    if '://' in text:
        name = Path(unquote(urlparse(text).path)).stem or 'photo'
        return [PhotoInput(name, text)]
    if os.path.isdir(text):
        return _of_folder(Path(text))
    if os.path.exists(text):
        if not os.path.isfile(text):
            raise UserError(f'{text} is not a regular file')
        return [_of_file(text, Path(text).name)]
    matches = sorted(glob.glob(text, recursive=True))
    if not matches:
        raise UserError(f'{text} does not exist, and as a glob pattern it matches nothing')
    return [item for match in matches for item in _of_match(match)]


def _of_match(path: str) -> list[PhotoInput]:
    """Return what a match of a glob pattern stands for; files with other suffixes are left out."""
    if os.path.isdir(path):
        return []
    return [_of_file(path, Path(path).name)] if _kind(path) else []


def _of_folder(folder: Path) -> list[PhotoInput]:
    """Return all photographs and videos below a folder, without hidden files and folders."""
    paths = []
    for current, subfolders, files in os.walk(folder):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith('.'))
        paths += [Path(current, name) for name in files if not name.startswith('.') and _kind(name)]
    if not paths:
        raise UserError(f'{folder} holds no photograph or video with one of the suffixes '
                        f'{first_few((*IMAGE_SUFFIXES, *VIDEO_SUFFIXES), 20)}')
    return [_of_file(str(path), path.relative_to(folder).as_posix()) for path in sorted(paths)]


def _of_file(path: str, name: str) -> PhotoInput:
    """Build the input of a file; one that is named itself may have any suffix."""
    return PhotoInput(os.path.splitext(name)[0], path, _kind(path) or 'photo')


def _kind(path: str) -> Optional[str]:
    suffix = os.path.splitext(path)[1].lower()
    if suffix in VIDEO_SUFFIXES:
        return 'video'
    return 'photo' if suffix in IMAGE_SUFFIXES else None


def _with_unique_ids(found: Iterable[PhotoInput]) -> Iterator[PhotoInput]:
    taken: set[str] = set()
    for item in found:
        image_id, number = item.image_id, 2
        while image_id.lower() in taken:  # some file systems do not distinguish case
            image_id, number = f'{item.image_id}_{number}', number + 1
        taken.add(image_id.lower())
        yield PhotoInput(image_id, item.path, item.kind, item.array)
