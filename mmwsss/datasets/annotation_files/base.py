"""What all annotation formats share: images, classes, outlines of label maps, and label maps painted from regions."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Optional

import numpy as np

from mmwsss.utils import closest
from mmwsss.utils.errors import UserError

from ..class_names import is_background
from ..polygons import Part, bridge_holes, center_parts, edge_parts, simplify_ring

__all__ = ['IGNORED', 'IGNORED_COLOR', 'IGNORE_INDEX', 'ClassTable', 'ExportOptions', 'LabeledImage', 'Region',
           'bridged_regions', 'hex_color', 'image_extent', 'paint_regions', 'parsing', 'regions']

IGNORE_INDEX = 255
IGNORED = 'ignored'
"""str: Name of the class that ignored pixels (255) become in annotation files."""

IGNORED_COLOR = (224, 224, 224)


@dataclass(frozen=True)
class LabeledImage:
    """A label map and the image that it belongs to.

    Attributes:
        image_id (str): Path of the image below its folder, without suffix.
        labels (np.ndarray): (H, W) uint8: 0 is the background, c + 1 the class c, 255 ignored.
        photo (Path, optional): The photograph, if it is known.
    """

    image_id: str
    labels: np.ndarray
    photo: Optional[Path] = None

    @property
    def file_name(self) -> str:
        """Id and suffix of the photograph; ``.jpg`` if the photograph is not known."""
        return self.image_id + (self.photo.suffix if self.photo else '.jpg')


class ClassTable:
    """Names and colors of the values of label maps.

    Args:
        names (Sequence[str]): The C foreground classes.
        palette (Sequence): RGB in 0..255 of the values 0, 1, ..., C.
        keep_ignored (bool): Whether ignored pixels become the class :data:`IGNORED` in annotation files. If not, they
            become background there.

    Raises:
        UserError: A class has the name that ignored pixels have.
    """

    def __init__(self, names: Sequence[str], palette: Sequence[Sequence[int]], keep_ignored: bool = True) -> None:
        if keep_ignored and IGNORED in names:
            raise UserError(f'a class is called {IGNORED!r}, which is the name of ignored pixels in annotation files: '
                            'rename the class or drop ignored pixels (--ignored drop)')
        self.names, self.keep_ignored = tuple(names), keep_ignored
        self.colors = {value: tuple(int(channel) for channel in palette[value]) for value in range(1, len(names) + 1)}
        self.values = {name: value for value, name in enumerate(names, 1)}
        if keep_ignored:
            self.colors[IGNORE_INDEX] = IGNORED_COLOR
            self.values[IGNORED] = IGNORE_INDEX

    @property
    def entries(self) -> list[tuple[int, str, tuple[int, ...]]]:
        """Value, name and color of all classes, in the order of values."""
        return [(value, name, self.colors[value]) for name, value in self.values.items()]

    def value_of(self, name: Any, origin: Any) -> int:
        """Return the value of a class name, which is 0 for the background.

        Args:
            name (Any): The name.
            origin (Any): Where it was read, for the error.

        Raises:
            UserError: There is no such class.
        """
        if isinstance(name, str) and name in self.values:
            return self.values[name]
        if is_background(str(name)):
            return 0
        raise UserError(f'{origin}: {name!r} is none of the {len(self.names)} classes'
                        f'{closest(str(name), self.values)}; name all classes with --classes')


@dataclass(frozen=True)
class ExportOptions:
    """How label maps become annotations.

    Attributes:
        tolerance (float): Points of outlines are left out if the outline stays within so many pixels.
        url_prefix (str): Label Studio: put before the file names of images.
    """

    tolerance: float = 0.0
    url_prefix: str = ''


class Region(NamedTuple):
    """A connected part of one class in an image."""

    value: int
    name: str
    polygon: np.ndarray
    holes: list[np.ndarray]
    part: Part


def regions(image: LabeledImage, classes: ClassTable, tolerance: float) -> Iterator[Region]:
    """Yield the parts of all classes with their holes, along pixel edges and simplified.

    Args:
        image (LabeledImage): The label map.
        classes (ClassTable): Its classes.
        tolerance (float): In pixels.

    Yields:
        Region: ``part`` is not simplified.
    """
    for value, name, _ in classes.entries:
        for part in edge_parts(image.labels == value):
            yield Region(value, name, simplify_ring(part.outer, tolerance),
                         [simplify_ring(hole, tolerance) for hole in part.holes], part)


def bridged_regions(image: LabeledImage, classes: ClassTable, tolerance: float, centers: bool = False
                    ) -> Iterator[Region]:
    """Yield the parts of all classes as polygons without holes; see :func:`mmwsss.datasets.polygons.bridge_holes`.

    Args:
        image (LabeledImage): The label map.
        classes (ClassTable): Its classes.
        tolerance (float): In pixels.
        centers (bool): Outlines run through pixel centers instead of along pixel edges.

    Yields:
        Region: With at least three points, of which some are equal where a part has fewer pixels.
    """
    for value, name, _ in classes.entries:
        for part in (center_parts if centers else edge_parts)(image.labels == value):
            bridged, fixed = bridge_holes(part)
            polygon = simplify_ring(bridged, tolerance, fixed)
            filler = np.repeat(polygon[-1:], max(3 - len(polygon), 0), axis=0)
            yield Region(value, name, np.concatenate([polygon, filler]), [], part)


def paint_regions(found: Iterable[tuple[int, np.ndarray]], height: int, width: int) -> np.ndarray:
    """Paint regions over each other, the last on top.

    Args:
        found (Iterable): Values, and masks (H, W) bool.
        height (int): Of the image, in pixels.
        width (int): Of the image, in pixels.

    Returns:
        np.ndarray: (H, W) uint8, 0 where there is no region.
    """
    labels = np.zeros((height, width), np.uint8)
    for value, mask in found:
        labels[mask] = value
    return labels


def hex_color(color: Sequence[int]) -> str:
    """Return an RGB color as ``#rrggbb``."""
    return '#{:02x}{:02x}{:02x}'.format(*color)


def image_extent(height: Any, width: Any, origin: Any) -> tuple[int, int]:
    """Return height and width of an image as numbers, and refuse what cannot be a size.

    Args:
        height (Any): A whole number, perhaps as text.
        width (Any): A whole number, perhaps as text.
        origin (Any): Where they were read, for the error.

    Raises:
        UserError: They are no whole numbers, or not in 1..65535.
    """
    try:
        size = int(height), int(width)
    except (TypeError, ValueError) as error:
        raise UserError(f'{origin}: height {height!r} and width {width!r} are not the size of an image') from error
    if not all(0 < side < 1 << 16 for side in size):
        raise UserError(f'{origin}: height {height} and width {width} are not the size of an image')
    return size


@contextmanager
def parsing(origin: Any, what: str) -> Iterator[None]:
    """Turn errors that content of another layout causes into one that names the file.

    Args:
        origin (Any): The file, perhaps with a place in it.
        what (str): What it should be, such as ``'a labelme file'``.

    Raises:
        UserError: The block raised an error of this kind; others pass unchanged.
    """
    try:
        yield
    except UserError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f'{origin} is not {what}: {type(error).__name__}: {error}') from error
