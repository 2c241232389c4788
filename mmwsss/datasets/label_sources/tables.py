"""Image-level labels from tables of tags: CSV, TSV, JSON, JSON lines."""

import csv
import io
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Optional, Union

from mmwsss.utils import first_few, image_id_of

from ..class_names import is_background, read_class_names
from ..image_labels import ImageLabels

__all__ = ['labels_from_table']

_IMAGE_COLUMNS = ('image', 'image_id', 'imageid', 'id', 'file', 'file_name', 'filename', 'path',
                  'image_path', 'img', 'img_path', 'name', 'photo')
_TAG_COLUMNS = ('tags', 'tag', 'labels', 'label', 'classes', 'class', 'categories', 'category')
_TRUE = ('1', '1.0', 'true', 'yes', 'y', 'x')
_FALSE = ('', '0', '0.0', 'false', 'no', 'n')
_SEPARATORS = re.compile(r'[;|,]')


def labels_from_table(path: Union[str, os.PathLike], classes: Optional[Sequence[str]] = None,
                      ids: Optional[Sequence[str]] = None,
                      image_root: Union[str, os.PathLike, None] = None) -> ImageLabels:
    """Read a table of tags in any of the usual forms.

    ``.csv``, ``.tsv``, ``.txt`` (the delimiter is found out; a byte order mark is fine):

    * one row per image, the tags in one cell, separated by ``;`` or ``|`` (or by ``,`` where the
      cell is quoted or the delimiter is another). Tags may contain spaces;
    * one row per (image, tag): the tags of an image are collected;
    * one row per image with a tag in each further cell;
    * a column per class with 0/1, true/false, yes/no or x/empty in it (needs a header).

    A header is recognised by its first word (``image``, ``file``, ``id``, ...). If it names a
    column ``tags`` (``label``, ``class``, ...), the other columns are not read.

    ``.json``: the canonical format, ``{image: [tags]}``, ``{image: "tag;tag"}``,
    ``{image: {tag: 0 or 1}}``, or a list of ``{"image": ..., "tags": ...}``. ``.jsonl``: one of the
    latter per line.

    Images may be given with suffix and folders: ``sub/photo.JPG`` is the image ``sub/photo``. The
    tag ``background`` is no label and is dropped.

    Args:
        path (str or PathLike): The table.
        classes (Sequence[str], optional): Foreground classes. None takes the columns of a one-hot
            table in their order, or all tags that occur, sorted.
        ids (Sequence[str], optional): Keep these images only.
        image_root (str or PathLike, optional): Folder that absolute image paths are relative to.

    Returns:
        ImageLabels: One entry per image of the table.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The form is not recognised, a tag is unknown, an image has an absolute path
            outside ``image_root``, or images of ``ids`` are missing.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'table of tags {path} does not exist')
    text = path.read_text(encoding='utf-8-sig')
    if path.suffix.lower() in ('.json', '.jsonl'):
        pairs, declared = _read_json(text, path)
    else:
        pairs, declared = _read_rows(_split_rows(text, path), path)
    found: dict[str, list[str]] = {}
    for image, tags in pairs:
        tags = [tag for tag in tags if not is_background(tag)]
        found.setdefault(_relative_id(image, image_root, path), []).extend(tags)
    if not found:
        raise ValueError(f'table of tags {path} names no image')
    if classes is None:
        classes = declared or sorted({tag for tags in found.values() for tag in tags})
    try:
        labels = ImageLabels(read_class_names(classes), found, dict(kind='table', path=str(path)))
        return labels if ids is None else labels.subset(ids)
    except ValueError as error:
        raise ValueError(f'table of tags {path}: {error}') from error


def _relative_id(image: str, root: Union[str, os.PathLike, None], table: Path) -> str:
    """Return the image id of a file name, made relative to the image folder."""
    image = str(image)
    if os.path.isabs(image):
        if root is None:
            raise ValueError(f'{table} names images by absolute paths ({image!r}): give the image '
                             'folder (--images) that they are relative to')
        relative = os.path.relpath(os.path.realpath(image), os.path.realpath(root))
        if relative.startswith('..'):
            raise ValueError(f'{table}: the image {image!r} is not in {root}')
        image = relative
    return image_id_of(image)


def _split_tags(cell: Any) -> list[str]:
    """Split a cell into tags."""
    if cell is None:
        return []
    if isinstance(cell, (list, tuple)):
        return [str(tag).strip() for tag in cell]
    return [tag.strip() for tag in _SEPARATORS.split(str(cell)) if tag.strip()]


def _split_rows(text: str, path: Path) -> list[list[str]]:
    """Split delimited text into rows of stripped cells, without empty rows."""
    first_line = next((line for line in text.splitlines() if line.strip()), '')
    if path.suffix.lower() == '.tsv' or '\t' in first_line:
        delimiter = '\t'
    else:
        # The first of the two between columns is the delimiter; the other separates tags.
        delimiter = ';' if re.match(r'("[^"]*"|[^,;"]*);', first_line) else ','
    rows = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True)
    rows = [[cell.strip() for cell in row] for row in rows]
    return [row for row in rows if any(row)]


def _read_rows(rows: list[list[str]], path: Path) -> tuple[list, Optional[list[str]]]:
    """Return (image, tags) pairs and, for a one-hot table, its classes."""
    if not rows:
        raise ValueError(f'table of tags {path} is empty')
    if max(map(len, rows)) == 1:
        raise ValueError(f'table of tags {path} has one column only: expected an image and its '
                         f'tags, separated by comma, semicolon or tab, got {rows[0][0]!r}')
    lowered = [cell.lower() for cell in rows[0]]
    image_column = next((k for k, name in enumerate(lowered) if name in _IMAGE_COLUMNS), None)
    if image_column is None:
        return [(row[0], _split_tags(';'.join(row[1:]))) for row in rows], None
    header, rows = rows[0], rows[1:]
    tag_column = next((k for k, name in enumerate(lowered) if name in _TAG_COLUMNS), None)
    others = [k for k, name in enumerate(header)
              if k != image_column and name and not is_background(name)]
    if tag_column is None and others and _is_one_hot(rows, others):
        names = [header[k] for k in others]
        return [(row[image_column], [header[k] for k in others if _cell(row, k) in _TRUE])
                for row in rows], names
    if tag_column is not None and tag_column != len(header) - 1:
        columns = slice(tag_column, tag_column + 1)
    else:
        columns = slice(tag_column if tag_column is not None else image_column + 1, None)
    return [(row[image_column], _split_tags(';'.join(row[columns]))) for row in rows
            if len(row) > image_column], None


def _cell(row: Sequence[str], column: int) -> str:
    """Return a cell in lower case; cells beyond the end of a short row are empty."""
    return row[column].lower() if column < len(row) else ''


def _is_one_hot(rows: Iterable[Sequence[str]], columns: Sequence[int]) -> bool:
    """Tell whether all given cells are yes or no, and some cell is a yes."""
    cells = {_cell(row, k) for row in rows for k in columns}
    return cells.issubset(_TRUE + _FALSE) and not cells.isdisjoint(_TRUE)


def _read_json(text: str, path: Path) -> tuple[list, Optional[list[str]]]:
    """Return (image, tags) pairs and, for the canonical format, its classes."""
    try:
        if path.suffix.lower() == '.jsonl':
            data: Any = [json.loads(line) for line in text.splitlines() if line.strip()]
        else:
            data = json.loads(text)
    except ValueError as error:
        raise ValueError(f'table of tags {path} is not valid JSON: {error}') from error
    declared = None
    if isinstance(data, dict) and isinstance(data.get('labels'), dict):
        declared, data = data.get('classes'), data['labels']
    if isinstance(data, dict):
        return [(image, _tags_of(tags)) for image, tags in data.items()], declared
    if isinstance(data, list) and all(isinstance(record, dict) for record in data):
        return [_read_record(record, path) for record in data], None
    raise ValueError(f'{path} must hold an object of image -> tags or a list of objects with an '
                     f'image and tags, got {type(data).__name__}')


def _tags_of(value: Any) -> list[str]:
    """Return the tags of a JSON value: a list, a string, or an object of tag -> 0 or 1."""
    if isinstance(value, dict):
        return [tag for tag, present in value.items() if str(present).lower() in _TRUE]
    return _split_tags(value)


def _read_record(record: dict, path: Path) -> tuple[str, list[str]]:
    """Return image and tags of one JSON object."""
    lowered = {str(key).lower(): key for key in record}
    image = next((lowered[name] for name in _IMAGE_COLUMNS if name in lowered), None)
    tags = next((lowered[name] for name in _TAG_COLUMNS if name in lowered), None)
    if image is None or tags is None:
        raise ValueError(f'{path}: a record has the keys {first_few(record)}; it needs one of '
                         f'{_IMAGE_COLUMNS[:4]} and one of {_TAG_COLUMNS[:4]}')
    return record[image], _tags_of(record[tags])
