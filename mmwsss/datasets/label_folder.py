"""Folders of label maps: which there are, of which photographs and classes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from PIL import Image

from mmwsss.utils import IMAGE_SUFFIXES, check_image_id, first_few, image_size, path_inside, read_json
from mmwsss.utils.errors import UserError

from .annotation_files import IGNORE_INDEX, LabeledImage
from .class_names import index_palette, read_class_names
from .map_files import as_label_map, read_label_map

__all__ = ['LabelFolder', 'find_photo']

PREDICTIONS = 'predictions.json'


def find_photo(folder: Path, image_id: str) -> Optional[Path]:
    """Find the photograph of an image id, or return None.

    Args:
        folder (Path): The folder of the photographs.
        image_id (str): Path of the photograph below it, without suffix.
    """
    suffixes = [*IMAGE_SUFFIXES, *map(str.upper, IMAGE_SUFFIXES)]
    return next((path for path in (path_inside(folder, image_id, suffix) for suffix in suffixes) if path.is_file()),
                None)


@dataclass(frozen=True)
class LabelFolder:
    """A folder of label maps.

    Attributes:
        masks (dict[str, Path]): Label maps by image id.
        photos (dict[str, Path]): Photographs by image id, as far as they are known.
        classes (tuple[str, ...]): Foreground classes.
        palette (list): RGB in 0..255 of the values 0, 1, ..., C.
    """

    masks: dict[str, Path]
    photos: dict[str, Path]
    classes: tuple[str, ...]
    palette: list

    @classmethod
    def open(cls, folder: Path, classes: Optional[str] = None, images: Optional[Path] = None) -> 'LabelFolder':
        """Find the label maps of a folder.

        Args:
            folder (Path): Label maps ``<image id>.png``, or what ``tools/predict.py`` has written.
            classes (str, optional): Foreground classes, see :func:`~mmwsss.datasets.read_class_names`. Predictions
                contain them.
            images (Path, optional): Folder of the photographs. Predictions contain their paths.

        Raises:
            FileNotFoundError: A folder, or the photograph of a label map in ``images``, does not exist.
            UserError: There is no label map, the classes are not known, or their number is wrong.
        """
        for place in filter(None, (folder, images)):
            if not place.is_dir():
                raise FileNotFoundError(f'folder {place} does not exist')
        masks, photos, names, palette = _predicted(folder) if (folder / PREDICTIONS).is_file() else _plain(folder)
        if classes is not None:
            given = read_class_names(classes)
            if names and len(given) != len(names):
                raise UserError(f'--classes names {len(given)} classes, but {folder / PREDICTIONS} has {len(names)}')
            names = given
        if not names:
            raise UserError(f'{folder} does not say which classes it has: name them with --classes A,B')
        if not masks:
            raise UserError(f'{folder} contains no label maps (<image id>.png)')
        if images:
            found = {image_id: find_photo(images, image_id) for image_id in masks}
            missing = [image_id for image_id, photo in found.items() if photo is None]
            if missing:
                raise FileNotFoundError(f'{len(missing)} label maps in {folder} have no photograph in {images}: '
                                        f'{first_few(missing)}')
            photos = {image_id: photo for image_id, photo in found.items() if photo}
        colors = index_palette(256)
        colors[:len(palette)] = palette
        return cls(masks, photos, names, colors[:len(names) + 1])

    def __len__(self) -> int:
        """Return the number of label maps."""
        return len(self.masks)

    def __iter__(self) -> Iterator[LabeledImage]:
        """Read one label map after the other.

        Raises:
            FileNotFoundError: A label map does not exist.
            UserError: A label map is damaged, has another size than its photograph, or has a value of no class.
        """
        for image_id, mask in self.masks.items():
            labels, photo = as_label_map(read_label_map(mask), mask), self.photos.get(image_id)
            largest = int(labels[labels != IGNORE_INDEX].max(initial=0))
            if largest > len(self.classes):
                raise UserError(f'{mask} has the value {largest}, but there are {len(self.classes)} classes (1 to '
                                f'{len(self.classes)}; 0 is the background, 255 ignored)')
            if photo and image_size(photo) != labels.shape:
                raise UserError(f'{mask} is {labels.shape}, its photograph {photo} {image_size(photo)}: they do not '
                                'belong together')
            yield LabeledImage(image_id, labels, photo)


def _predicted(folder: Path) -> tuple[dict, dict, tuple, list]:
    """Return masks, photographs, classes and palette of what ``tools/predict.py`` has written."""
    file = folder / PREDICTIONS
    content = read_json(file)
    try:
        entries = [entry for entry in content['images'] if 'mask' in entry]
        masks = {check_image_id(entry['id'], file): folder / entry['mask'] for entry in entries}
        photos = {entry['id']: Path(entry['path']) for entry in entries}
        names, palette = tuple(content['classes'])[1:], [tuple(color) for color in content['palette']]
    except (KeyError, TypeError) as error:
        raise UserError(f'{file} is not what tools/predict.py writes: {error!r}') from error
    return masks, {key: path for key, path in photos.items() if path.is_file()}, names, palette


def _plain(folder: Path) -> tuple[dict, dict, tuple, list]:
    """Return the same of a folder of label maps, whose palette is that of the first file."""
    masks = {path.relative_to(folder).with_suffix('').as_posix(): path for path in sorted(folder.rglob('*.png'))}
    palette: list = []
    for path in list(masks.values())[:1]:
        read_label_map(path)  # names the file if it is damaged
        with Image.open(path) as image:
            flat = image.getpalette() if image.mode == 'P' else None
        palette = [tuple(flat[k:k + 3]) for k in range(0, len(flat), 3)] if flat else []
    return masks, {}, (), palette
