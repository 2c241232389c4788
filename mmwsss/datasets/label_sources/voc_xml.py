"""Image-level labels from PASCAL VOC XML annotations."""

import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import Optional, Union

from rich.progress import track

from mmwsss.utils import first_few, missing_files

from ..class_names import read_class_names
from ..image_labels import ImageLabels

__all__ = ['labels_from_voc_xml']


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
        if not (skip_difficult and (node.findtext('difficult') or '0').strip() == '1'):
            names.append(name)
    return names
