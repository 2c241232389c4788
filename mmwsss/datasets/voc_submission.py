"""Archives of segmentations for the evaluation server of PASCAL VOC 2012."""

import io
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Union

import numpy as np
from mmseg.datasets import PascalVOCDataset
from PIL import Image

from mmwsss.utils import atomic_path, first_few
from mmwsss.utils.errors import UserError

from .annotation_files import IGNORE_INDEX, LabeledImage
from .class_names import index_palette
from .published_lists import PUBLISHED_LIST_SIZES

__all__ = ['COMPETITIONS', 'SPLITS', 'archive_folder', 'check_submission', 'write_submission']

COMPETITIONS = ('comp5', 'comp6')
"""tuple[str, ...]: ``comp5`` is for models trained on VOC 2012 alone, ``comp6`` for all others, such as those that
start from weights of ImageNet."""

SPLITS = {'test': 1456, 'val': PUBLISHED_LIST_SIZES[PascalVOCDataset]['val']}
"""dict[str, int]: Number of images by list. The server takes ``test``; the development kit evaluates both."""

_NUM_CLASSES = 21
_COLORS = [value for color in index_palette(_NUM_CLASSES) for value in color]
Sizes = Mapping[str, tuple[int, int]]


def archive_folder(competition: str, split: str = 'test') -> str:
    """Return the folder of the segmentations in an archive, such as ``results/VOC2012/Segmentation/comp6_test_cls``.

    Raises:
        UserError: There is no such competition or list.
    """
    if competition not in COMPETITIONS or split not in SPLITS:
        raise UserError(f'VOC 2012 has the competitions {", ".join(COMPETITIONS)} and the lists {", ".join(SPLITS)}, '
                        f'not {competition} of {split}')
    return f'results/VOC2012/Segmentation/{competition}_{split}_cls'


def write_submission(images: Iterable[LabeledImage], sizes: Sizes, path: Union[str, Path], folder: str) -> None:
    """Write label maps as an archive that the server takes, whole or not at all, and check it.

    Args:
        images (Iterable[LabeledImage]): Label maps with the values of VOC: 0 for the background, 1 to 20.
        sizes (Mapping[str, tuple[int, int]]): (H, W) of each image of the list, by id.
        path (str or Path): The ``.tgz`` or ``.tar.gz`` file.
        folder (str): See :func:`archive_folder`.

    Raises:
        UserError: A label map is missing, is not of an image of the list, or has another size or a wrong value.
    """
    with atomic_path(path) as tmp:
        with tarfile.open(tmp, 'w:gz') as archive:
            for image in images:
                _check_labels(image.image_id, image.labels, sizes)
                content = _encode(image.labels)
                entry = tarfile.TarInfo(f'{folder}/{image.image_id}.png')
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        check_submission(tmp, sizes, folder)


def check_submission(path: Union[str, Path], sizes: Sizes, folder: str) -> None:
    """Check that an archive is what the server takes.

    Args:
        path (str or Path): The file.
        sizes (Mapping[str, tuple[int, int]]): (H, W) of each image of the list, by id.
        folder (str): See :func:`archive_folder`.

    Raises:
        UserError: The archive is damaged, has a wrong name, too few or too many images, or an image that is no
            palette PNG with VOC's colors, of the size of the photograph, and with values of 0 to 20.
    """
    found: set[str] = set()
    for name, content in _members(Path(path)):
        parent, _, file = name.rpartition('/')
        image_id, suffix = file[:-4], file[-4:]
        if parent != folder or suffix != '.png':
            raise UserError(f'{path} has the file {name}: all names must be {folder}/<image id>.png')
        if image_id in found:
            raise UserError(f'{path} has two segmentations of image {image_id}')
        _check_labels(image_id, _decode(content, f'{name} in {path}'), sizes)
        found.add(image_id)
    missing = [image_id for image_id in sizes if image_id not in found]
    if missing:
        raise UserError(f'{len(missing)} of the {len(sizes)} images of the list have no segmentation: '
                        f'{first_few(missing)}')


def _check_labels(image_id: str, labels: np.ndarray, sizes: Sizes) -> None:
    if image_id not in sizes:
        raise UserError(f'image {image_id} is not in the list of images')
    if labels.shape != sizes[image_id]:
        raise UserError(f'the segmentation of image {image_id} is {labels.shape}, its photograph {sizes[image_id]}')
    largest = int(labels.max(initial=0))
    if largest == IGNORE_INDEX:
        raise UserError(f'the segmentation of image {image_id} has ignored pixels (255), which the server refuses: '
                        'predict every pixel')
    if largest >= _NUM_CLASSES:
        raise UserError(f'the segmentation of image {image_id} has the value {largest}, but VOC has the values 0 to '
                        f'{_NUM_CLASSES - 1}')


def _encode(labels: np.ndarray) -> bytes:
    image = Image.fromarray(np.asarray(labels, np.uint8)).convert('P')
    image.putpalette([value for color in index_palette(256) for value in color])
    content = io.BytesIO()
    image.save(content, 'PNG')
    return content.getvalue()


def _decode(content: bytes, origin: str) -> np.ndarray:
    """Read a palette PNG with VOC's colors."""
    try:
        with Image.open(io.BytesIO(content), formats=['PNG']) as image:
            mode, palette, labels = image.mode, image.getpalette(), np.array(image)
    except (OSError, SyntaxError) as error:
        raise UserError(f'{origin} is no PNG, or damaged: {error}') from error
    if mode != 'P':
        raise UserError(f'{origin} is a {mode} picture: the server takes palette PNGs')
    used = 3 * (min(int(labels.max(initial=0)), _NUM_CLASSES - 1) + 1)
    if palette[:used] != _COLORS[:used]:
        raise UserError(f"{origin} has other colors than VOC's: write the archive again with tools/make_submission.py")
    return labels


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the files in an archive."""
    try:
        with tarfile.open(path, 'r:gz') as archive:
            for entry in archive:
                if entry.isfile():
                    yield entry.name.removeprefix('./'), archive.extractfile(entry).read()
                elif not entry.isdir():
                    raise UserError(f'{path} has the link or device {entry.name}: all entries must be files')
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise UserError(f'{path} is no archive (.tgz), or damaged: {error}') from error
