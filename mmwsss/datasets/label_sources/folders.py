"""Image-level labels from one folder per class."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Optional, Union

from ..class_names import IMAGE_SUFFIXES, is_background, read_class_names
from ..image_labels import ImageLabels

__all__ = ['labels_from_folders']


def labels_from_folders(root: Union[str, os.PathLike], classes: Optional[Sequence[str]] = None,
                        flat_ids: bool = False) -> ImageLabels:
    """Label an image with the name of the folder it lies in.

    Args:
        root (str or PathLike): Holds one folder per class, which holds images, also further down.
            A folder called ``background`` gives images without a label.
        classes (Sequence[str], optional): Foreground classes. None takes all folders, sorted.
        flat_ids (bool): Use only the file name as the id instead of the path below ``root``;
            an image that lies in several class folders then gets all their labels.

    Returns:
        ImageLabels: One entry per image.

    Raises:
        FileNotFoundError: ``root`` does not exist, or holds no folder with images.
        ValueError: A folder is not among ``classes``.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f'image folder {root} does not exist')
    found: dict[str, list[str]] = {}
    names = []
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        images = sorted(path for path in folder.rglob('*')
                        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith('.'))
        is_class = not is_background(folder.name)
        if images and is_class:
            names.append(folder.name)
        for image in images:
            image_id = image.stem if flat_ids else image.relative_to(root).with_suffix('').as_posix()
            found.setdefault(image_id, []).extend([folder.name] if is_class else [])
    if not names:
        raise FileNotFoundError(f'{root} holds no folder with images: expected {root}/<class>/*.jpg')
    return ImageLabels(read_class_names(names if classes is None else classes), found,
                       dict(kind='folders', path=str(root), flat_ids=flat_ids))
