"""Image-level labels from COCO instance annotations."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Union

from ..class_names import image_id_of, read_class_names
from ..image_labels import ImageLabels

__all__ = ['CocoCategories', 'labels_from_coco', 'read_instances']


@dataclass(frozen=True)
class CocoCategories:
    """The categories of an instances file, made contiguous.

    Attributes:
        names (tuple[str, ...]): Foreground classes, ordered by COCO's category id.
        indices (dict[int, int]): COCO's category id (1..90 with gaps) -> mask value (1..C).
    """

    names: tuple[str, ...]
    indices: dict[int, int]

    @classmethod
    def from_instances(cls, data: dict) -> 'CocoCategories':
        """Read the ``categories`` of a parsed instances file.

        Args:
            data (dict): The parsed JSON.

        Returns:
            CocoCategories: Names and contiguous indices.

        Raises:
            ValueError: A category name occurs twice, or there is none.
        """
        categories = sorted(data['categories'], key=lambda category: category['id'])
        names = read_class_names([category['name'] for category in categories])
        return cls(names, {category['id']: k for k, category in enumerate(categories, 1)})


def read_instances(path: Union[str, os.PathLike]) -> dict[str, Any]:
    """Parse an instances file and check its layout.

    Args:
        path (str or PathLike): For instance ``annotations/instances_train2014.json``.

    Returns:
        dict: The parsed JSON, with ``images``, ``annotations`` and ``categories``.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not valid JSON, or lacks one of the three lists.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'instances file {path} does not exist')
    try:
        data = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f'instances file {path} is not valid JSON: {error}') from error
    lists = ('images', 'annotations', 'categories')
    lacking = [key for key in lists if not isinstance(data, dict) or key not in data]
    if lacking:
        raise ValueError(f'{path} is no COCO instances file: it lacks {", ".join(lacking)} (captions '
                         'and image-info files have no instances)')
    return data


def labels_from_coco(instances: Union[str, os.PathLike, dict],
                     classes: Optional[Sequence[str]] = None,
                     ids: Optional[Sequence[str]] = None, skip_crowd: bool = False) -> ImageLabels:
    """Label an image with the category of every object annotated in it.

    Args:
        instances (str, PathLike or dict): The instances file, or what :func:`read_instances` gave.
        classes (Sequence[str], optional): Foreground classes; must contain every category that
            occurs. None takes the file's categories, ordered by their id.
        ids (Sequence[str], optional): Keep these images only, given as file names without suffix.
        skip_crowd (bool): Do not count regions marked ``iscrowd``. By default they count: the class
            is in the picture, only its objects are not told apart.

    Returns:
        ImageLabels: An entry for each image of the file, also for those without an object.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The layout is not COCO's, a category is unknown, or images of ``ids`` are
            missing.
    """
    data = instances if isinstance(instances, dict) else read_instances(instances)
    categories = CocoCategories.from_instances(data)
    found: dict[int, set[str]] = {image['id']: set() for image in data['images']}
    for annotation in data['annotations']:
        if not (skip_crowd and annotation.get('iscrowd')):
            name = categories.names[categories.indices[annotation['category_id']] - 1]
            found[annotation['image_id']].add(name)
    labels = {image_id_of(image['file_name']): found[image['id']] for image in data['images']}
    source = dict(kind='coco', skip_crowd=skip_crowd)
    if not isinstance(instances, dict):
        source['path'] = str(instances)
    result = ImageLabels(categories.names if classes is None else read_class_names(classes),
                         labels, source)
    return result if ids is None else result.subset(ids)
