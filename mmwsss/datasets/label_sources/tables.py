"""Image-level labels from tables of tags: CSV, TSV, JSON, JSON lines."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Optional, Union

from mmwsss.utils import image_id_of, read_text

from ..class_names import is_background, read_class_names
from ..image_labels import ImageLabels
from .delimited import read_delimited
from .records import Tags, read_records

__all__ = ['labels_from_table']


def labels_from_table(path: Union[str, os.PathLike], classes: Optional[Sequence[str]] = None,
                      ids: Optional[Sequence[str]] = None,
                      image_root: Union[str, os.PathLike, None] = None) -> ImageLabels:
    """Read a table of tags in any of the usual forms.

    ``.csv``, ``.tsv``, ``.txt`` (the delimiter is detected, or named by a line such as ``sep=;``):

    * one row per image with all tags in one cell, separated by ``;`` or ``|`` (or by ``,`` where the cell is quoted or
      the delimiter is another one). Tags may contain spaces;
    * one row per pair of image and tag: the tags of an image are collected;
    * one row per image with one tag in each further cell;
    * one column per class with 0/1, true/false, t/f, yes/no or x/empty in it (needs a header).

    A header is recognized by a column called ``image``, ``file``, ``id`` or the like. If another column is called
    ``tags``, ``label``, ``class`` or the like, the remaining columns are not read. Lines that start with ``#`` before
    the first row are comments.

    ``.json``: the canonical format, ``{image: [tags]}``, ``{image: "tag;tag"}``, ``{image: {tag: 0 or 1}}``, or a list
    of ``{"image": ..., "tags": ...}``. ``.jsonl``: one of the latter per line.

    Images may be given with suffix and folders: ``sub/photo.JPG`` is the image ``sub/photo``. The tag ``background`` is
    not a label and is dropped. Files are read as UTF-8, or as UTF-16 if a byte order mark says so.

    A number such as 0.9, -1 or nan is neither a class nor a yes or no, and is refused with its row and column.

    Args:
        path (str or PathLike): The table.
        classes (Sequence[str], optional): Foreground classes. None takes the columns of a table with one column per
            class in their order, or all tags that occur, sorted.
        ids (Sequence[str], optional): Keep only these images.
        image_root (str or PathLike, optional): Folder that absolute image paths are relative to.

    Returns:
        ImageLabels: One entry per image of the table.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not text in one of these encodings, its form is not recognized, a cell can be read in
            no or in several ways, a tag is unknown, a name is not an image id, an absolute path lies outside
            ``image_root``, or images of ``ids`` are missing. The error names the file and the row or image.
    """
    path = Path(path)
    text = read_text(path, 'table of tags')
    known_classes = None if classes is None else read_class_names(classes)
    read = read_records if path.suffix.lower() in ('.json', '.jsonl') else read_delimited
    entries, declared = read(text, path, known_classes or ())
    found: dict[str, list[str]] = {}
    for entry in entries:
        tags = [tag for tag in entry.tags if not is_background(tag)]
        found.setdefault(_relative_id(entry, image_root, path), []).extend(tags)
    if not found:
        raise ValueError(f'table of tags {path} names no image')
    names = known_classes or declared or sorted({tag for tags in found.values() for tag in tags})
    try:
        labels = ImageLabels(read_class_names(names), found, dict(kind='table', path=str(path)))
        return labels if ids is None else labels.subset(ids)
    except ValueError as error:
        raise ValueError(f'table of tags {path}: {error}') from error


def _relative_id(entry: Tags, root: Union[str, os.PathLike, None], table: Path) -> str:
    """Return the image id of an entry; absolute paths are made relative to the image folder."""
    image = entry.image
    if os.path.isabs(image):
        if root is None:
            raise ValueError(f'{table}, {entry.where}: images are named by absolute paths ({image!r}): name the image '
                             'folder (--images) that they are relative to')
        relative = os.path.relpath(os.path.realpath(image), os.path.realpath(root))
        if relative.startswith('..'):
            raise ValueError(f'{table}, {entry.where}: the image {image!r} is not in {root}')
        image = relative
    return image_id_of(image, f'table of tags {table}, {entry.where}')
