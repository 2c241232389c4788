"""Image-level labels from annotations: COCO instances, PASCAL VOC XML, pickled dictionaries of vectors."""

import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import Optional, Union

from rich.progress import track

from mmwsss.utils import check_image_id, first_few, image_id_of, missing_files

from ..class_names import is_background, read_class_names
from ..cls_labels import read_cls_labels
from ..coco import CocoCategories, check_instances, read_instances
from ..image_labels import ImageLabels

__all__ = ['labels_from_coco', 'labels_from_npy', 'labels_from_voc_xml']


def labels_from_coco(instances: Union[str, os.PathLike, dict],
                     classes: Optional[Sequence[str]] = None,
                     ids: Optional[Sequence[str]] = None, skip_crowd: bool = False) -> ImageLabels:
    """Label an image with the category of every object annotated in it.

    A category called ``background``, whatever its id, is no class.

    Args:
        instances (str, PathLike or dict): The instances file, or what :func:`read_instances` returned.
        classes (Sequence[str], optional): Foreground classes; must contain every category that
            occurs. None takes the file's categories, ordered by their id.
        ids (Sequence[str], optional): Keep these images only, given as file names without suffix.
        skip_crowd (bool): Do not count regions marked ``iscrowd``. By default they count: the class
            is in the picture, only its objects are not told apart.

    Returns:
        ImageLabels: An entry for each image of the file, also for those without an object.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The layout is not COCO's, an annotation names an unknown image or category, a file name is not an
            image id, or images of ``ids`` are missing.
    """
    given = isinstance(instances, dict)
    origin = 'the COCO instances' if given else f'instances file {instances}'
    data = check_instances(instances, origin) if given else read_instances(instances)
    try:
        categories = CocoCategories.from_instances(data)
    except ValueError as error:
        raise ValueError(f'{origin}: {error}') from error
    found: dict[int, set[str]] = {image['id']: set() for image in data['images']}
    for annotation in data['annotations']:
        index = categories.indices[annotation['category_id']]
        if index and not (skip_crowd and annotation.get('iscrowd')):
            found[annotation['image_id']].add(categories.names[index - 1])
    labels: dict[str, set[str]] = {}
    for image in data['images']:
        image_id = image_id_of(image['file_name'], f'{origin}, image {image["id"]}')
        if image_id in labels:
            raise ValueError(f'{origin} has two images with the id {image_id!r}; rename one of them')
        labels[image_id] = found[image['id']]
    source = dict(kind='coco', skip_crowd=skip_crowd)
    if not given:
        source['path'] = str(instances)
    result = ImageLabels(categories.names if classes is None else read_class_names(classes),
                         labels, source)
    return result if ids is None else result.subset(ids)


def labels_from_voc_xml(annotation_dir: Union[str, os.PathLike],
                        classes: Optional[Sequence[str]] = None,
                        ids: Optional[Sequence[str]] = None, skip_difficult: bool = False,
                        show_progress: bool = False) -> ImageLabels:
    """Label an image with the class of every object in its VOC annotation.

    Args:
        annotation_dir (str or PathLike): Folder ``Annotations`` of ``<image id>.xml``.
        classes (Sequence[str], optional): Foreground classes. None takes all names, sorted.
        ids (Sequence[str], optional): The images. None takes every XML in the folder.
        skip_difficult (bool): Leave out objects marked difficult.
        show_progress (bool): Show a progress bar on stderr.

    Returns:
        ImageLabels: One entry per image.

    Raises:
        FileNotFoundError: The folder or annotations are missing; the first few are listed.
        ValueError: An annotation is not valid XML, or names a class outside ``classes``.
    """
    folder = Path(annotation_dir)
    if not folder.is_dir():
        raise FileNotFoundError(f'annotation folder {folder} does not exist')
    if ids is None:
        ids = sorted(path.stem for path in folder.glob('*.xml'))
    ids = [check_image_id(image_id, f'annotations of {folder}') for image_id in ids]
    missing = missing_files([folder / f'{image_id}.xml' for image_id in ids])
    if missing or not ids:
        raise FileNotFoundError(f'{len(missing)} of {len(ids)} XML annotations do not exist in '
                                f'{folder}: {first_few(map(os.path.basename, missing))}')
    found = {
        image_id: _object_names(folder / f'{image_id}.xml', skip_difficult)
        for image_id in track(ids, 'reading XML', disable=not show_progress)
    }
    if classes is None:
        classes = sorted({name for names in found.values() for name in names})
    if not classes:
        raise ValueError(f'the {len(ids)} annotations of {folder} contain no object')
    source = dict(kind='voc-xml', path=str(folder), skip_difficult=skip_difficult)
    return ImageLabels(read_class_names(classes), found, source)


def _object_names(path: Path, skip_difficult: bool) -> list[str]:
    """Return the class of each object of one annotation (parts of objects are not objects)."""
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise ValueError(f'annotation {path} is not valid XML: {error}') from error
    names = []
    for node in root.findall('object'):
        name = (node.findtext('name') or '').strip()
        if not name:
            raise ValueError(f'annotation {path} has an object without a name')
        if not is_background(name) and not (skip_difficult and (node.findtext('difficult') or '0').strip() == '1'):
            names.append(name)
    return names


def labels_from_npy(path: Union[str, os.PathLike], classes: Sequence[str], ids: Optional[Sequence[str]] = None,
                    id_format: Optional[str] = None) -> ImageLabels:
    """Read ``cls_labels.npy`` or ``cls_labels_onehot.npy``; see :func:`~mmwsss.datasets.cls_labels.read_cls_labels`.

    Args:
        path (str or PathLike): The ``.npy`` file.
        classes (Sequence[str]): The C foreground classes, in the order of the vectors.
        ids (Sequence[str], optional): Keep only these images.
        id_format (str, optional): Format that turns an integer key into an image id.

    Returns:
        ImageLabels: One entry per image.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file has another layout, or images of ``ids`` are missing from it.
    """
    labels = read_cls_labels(path, classes, id_format)
    loaded = ImageLabels(classes, labels, dict(kind='npy', path=str(path)))
    if ids is None:
        return loaded
    absent = [image_id for image_id in ids if image_id not in labels]
    if absent:
        raise ValueError(f'{len(absent)} of {len(ids)} images have no entry in {path}: {first_few(absent)}; its ids '
                         f'look like {first_few(labels, 2)}')
    return loaded.subset(ids)
