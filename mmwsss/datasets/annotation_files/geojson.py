"""GeoJSON in pixels, as QuPath reads it: a folder with one file for each image."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Optional

import numpy as np

from mmwsss.utils import path_inside, read_json, write_json
from mmwsss.utils.errors import UserError

from ..polygons import fill_polygons
from .base import ClassTable, ExportOptions, LabeledImage, image_extent, paint_regions, parsing, regions

__all__ = ['read_geojson', 'write_geojson']


def write_geojson(images: Iterable[LabeledImage], classes: ClassTable, target: Path, options: ExportOptions) -> None:
    """Write ``<id>.geojson`` for each image, with one polygon and its holes for each connected part of a class.

    Coordinates are pixels; y points down. Class and color are given as QuPath expects them.

    Args:
        images (Iterable[LabeledImage]): The label maps.
        classes (ClassTable): Their classes.
        target (Path): The folder; exists and is empty.
        options (ExportOptions): See there.
    """
    for image in images:
        height, width = image.labels.shape
        features = []
        for region in regions(image, classes, options.tolerance):
            rings = [np.concatenate([ring, ring[:1]]).tolist() for ring in (region.polygon, *region.holes)]
            label = dict(name=region.name, color=list(classes.colors[region.value]))
            features.append(dict(type='Feature', geometry=dict(type='Polygon', coordinates=rings),
                                 properties=dict(objectType='annotation', classification=label)))
        content = dict(type='FeatureCollection', image=dict(id=image.image_id, height=height, width=width),
                       features=features)
        write_json(content, path_inside(target, image.image_id, '.geojson'), indent=None)


def read_geojson(path: Path, classes: ClassTable,
                 size_of: Optional[Callable[[str], tuple[int, int]]] = None) -> Iterator[tuple[str, np.ndarray]]:
    """Read the label maps of a folder of GeoJSON files: polygons and multipolygons; later ones lie on top.

    Args:
        path (Path): The folder, searched recursively.
        classes (ClassTable): The classes. The class of a feature is ``properties.classification.name``, or
            ``properties.class``.
        size_of (Callable, optional): Takes an image id and returns the height and the width of the image. Needed for
            files that do not contain ``image`` with ``height`` and ``width``.

    Yields:
        tuple[str, np.ndarray]: Image id, the path of the file without suffix, and label map (H, W) uint8.

    Raises:
        UserError: A file has another layout, a class that is not known, or an unknown size.
    """
    for file in sorted(path.rglob('*.geojson')):
        image_id = file.relative_to(path).with_suffix('').as_posix()
        content = read_json(file, 'GeoJSON file')
        with parsing(file, 'a GeoJSON file of polygons with classes'):
            listed = content['features'] if isinstance(content, dict) else content
            size = content.get('image') if isinstance(content, dict) else None
            if size is None and size_of is None:
                raise UserError(f'{file} does not contain the size of its image: name the folder of the photographs '
                                'with --images')
            height, width = image_extent(size['height'], size['width'], file) if size else size_of(image_id)
            painted = [(classes.value_of(_class_of(feature), file), _mask_of(feature, height, width, file))
                       for feature in listed]
        yield image_id, paint_regions(painted, height, width)


def _class_of(feature: dict[str, Any]) -> Any:
    properties = feature['properties']
    return properties['classification']['name'] if 'classification' in properties else properties['class']


def _mask_of(feature: dict[str, Any], height: int, width: int, file: Path) -> np.ndarray:
    geometry = feature['geometry']
    if geometry['type'] not in ('Polygon', 'MultiPolygon'):
        raise UserError(f'{file}: a {geometry["type"]} has no area: delete it or draw a polygon')
    polygons = [geometry['coordinates']] if geometry['type'] == 'Polygon' else geometry['coordinates']
    mask = np.zeros((height, width), bool)
    for rings in polygons:
        mask |= fill_polygons([np.array(ring, float)[:, :2] for ring in rings], height, width)
    return mask
