"""Tags from delimited text: CSV, TSV and the like."""

import csv
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Optional

from mmwsss.utils import IMAGE_SUFFIXES

from ..class_names import is_background
from .cells import IMAGE_COLUMNS, TAG_COLUMNS, YES_OR_NO, Tags, check_tags, is_number, split_tags, truth_of

__all__ = ['read_delimited']

_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)


class Row(NamedTuple):
    """A row of a table: the number of its last line in the file, and its cells."""

    line: int
    cells: list[str]

    def get(self, column: int) -> str:
        """Return a cell; cells beyond the end of a short row are empty."""
        return self.cells[column] if column < len(self.cells) else ''


def read_delimited(text: str, path: Path, known_classes: Sequence[str]) -> tuple[list[Tags], Optional[list[str]]]:
    """Read the tags of a delimited text; :func:`~mmwsss.datasets.labels_from_table` describes the forms.

    Args:
        text (str): Content of the file.
        path (Path): The file; ``.tsv`` means tabs.
        known_classes (Sequence[str]): Classes that are known already; their names may be numbers.

    Returns:
        tuple: The entries, and the classes of a table with one column per class (None for other tables).

    Raises:
        ValueError: The form is not recognized, or a cell can be read in no or in several ways; the file and the line
            are named.
    """
    rows = _read_rows(text, path)
    if not rows:
        raise ValueError(f'table of tags {path} is empty')
    if max(len(row.cells) for row in rows) == 1:
        raise ValueError(f'table of tags {path} has one column only: expected an image and its tags, separated by '
                         f'comma, semicolon or tab, got {rows[0].cells[0]!r}')
    try:
        header = [cell.lower() for cell in rows[0].cells]
        image_column = _first_of(header, IMAGE_COLUMNS)
        if image_column is None:
            _refuse_unknown_header(rows)
            return [_tags_from(row, 0, slice(1, None), known_classes) for row in rows], None
        tag_column = _first_of(header, TAG_COLUMNS)
        if tag_column is None:
            return _read_class_columns(rows[0].cells, rows[1:], image_column, known_classes)
        is_last = tag_column == len(header) - 1
        columns = slice(tag_column, None if is_last else tag_column + 1)
        return [_tags_from(row, image_column, columns, known_classes) for row in rows[1:]], None
    except ValueError as error:
        raise ValueError(f'table of tags {path}, {error}') from error


def _first_of(header: Sequence[str], names: Sequence[str]) -> Optional[int]:
    """Return the first column whose title is one of ``names``."""
    return next((column for column, title in enumerate(header) if title in names), None)


def _tags_from(row: Row, image_column: int, columns: slice, known_classes: Sequence[str]) -> Tags:
    """Return image and tags of a row."""
    where = f'line {row.line}'
    if image_column >= len(row.cells):
        raise ValueError(f'{where}: the row has {len(row.cells)} cells and none in the column of the image')
    tags = split_tags(';'.join(row.cells[columns]))
    return Tags(where, row.cells[image_column], check_tags(tags, known_classes, where))


def _refuse_unknown_header(rows: Sequence[Row]) -> None:
    """Refuse a table whose first row is a header without a column of images, or that lacks a needed header."""
    first, others = rows[0], [cell for row in rows[1:] for cell in row.cells[1:] if cell]
    is_image = first.cells[0].lower().endswith(IMAGE_SUFFIXES)
    titles = f"one of {', '.join(IMAGE_COLUMNS[:6])}"
    flags = bool(others) and all(truth_of(cell) is not None for cell in others)
    named = any(cell.lower() in TAG_COLUMNS for cell in first.cells)
    if not is_image and (named or (flags and any(truth_of(cell) is None for cell in first.cells[1:]))):
        raise ValueError(f'line {first.line}: the header names no column of images: call that column {titles}')
    if flags and len(first.cells) > 2 and all(truth_of(cell) is not None for cell in first.cells[1:]):
        raise ValueError(f'line {first.line}: the cells are yes or no, but no header names their classes: write '
                         f'a header such as image,cat,dog, whose first title is {titles}')


def _read_class_columns(header: Sequence[str], rows: Sequence[Row], image_column: int,
                        known_classes: Sequence[str]) -> tuple[list[Tags], Optional[list[str]]]:
    """Read a table without a column of tags: one column per class, or one tag in each cell."""
    columns = [column for column, title in enumerate(header)
               if column != image_column and title and not is_background(title)]
    cells = [(row, column, row.get(column)) for row in rows for column in columns if row.get(column)]
    neither = [entry for entry in cells if truth_of(entry[2]) is None]
    if not cells or len(neither) == len(cells) and not any(is_number(cell) for _, _, cell in cells):
        return [_tags_from(row, image_column, slice(image_column + 1, None), known_classes) for row in rows], None
    if neither:
        row, column, cell = neither[0]
        raise ValueError(f'line {row.line}, column {header[column]!r}: {cell!r} is neither yes nor no. A table with '
                         f'one column per class contains {YES_OR_NO}: apply a threshold to scores and remove other '
                         "columns; or call the column that contains tags 'tags'")
    return list(_read_flags(header, rows, image_column, columns)), [header[column] for column in columns]


def _read_flags(header: Sequence[str], rows: Sequence[Row], image_column: int,
                columns: Sequence[int]) -> Iterator[Tags]:
    """Yield the tags of a table with one column per class; an image may not have two different rows."""
    seen: dict[str, Tags] = {}
    for row in rows:
        where = f'line {row.line}'
        if len(row.cells) > len(header) or len(row.cells) <= image_column:
            raise ValueError(f'{where}: the row has {len(row.cells)} cells, the header {len(header)}')
        tags = [header[column] for column in columns if truth_of(row.get(column))]
        entry = Tags(where, row.cells[image_column], tags)
        earlier = seen.setdefault(entry.image, entry)
        if earlier.tags != tags:
            raise ValueError(f'{where}: the image {entry.image!r} has other labels in {earlier.where}; keep one row')
        yield entry


def _read_rows(text: str, path: Path) -> list[Row]:
    """Split delimited text into rows of stripped cells, without comments at its beginning and empty rows."""
    lines = re.split(r'\r\n|\r|\n', text)
    skipped, delimiter = _skip_preamble(lines)
    lines = lines[skipped:]
    if delimiter is None:
        delimiter = _delimiter_of(next((line for line in lines if line.strip()), ''), path)
    reader = csv.reader((f'{line}\n' for line in lines), delimiter=delimiter, skipinitialspace=True, strict=True)
    rows, begin = [], skipped + 1
    try:
        for cells in reader:
            row = Row(skipped + reader.line_num, [cell.strip() for cell in cells])
            begin = row.line + 1
            if any(row.cells):
                rows.append(row)
    except csv.Error as error:
        reason = 'a quote is never closed' if 'end of data' in str(error) else str(error)
        raise ValueError(f'table of tags {path}, line {begin}: {reason}; check the quotes from this line on') from error
    return rows


def _skip_preamble(lines: list[str]) -> tuple[int, Optional[str]]:
    """Return how many lines come before the first row, and the delimiter that one of them names.

    A header that is a comment itself (``# image,tags``) loses its ``#``, in place.
    """
    delimiter = None
    for number, line in enumerate(lines):
        named = _SEPARATOR_LINE.fullmatch(line.strip(' '))
        if named:
            delimiter = named[1]
        elif line.startswith('#'):
            first = re.split(r'[,;\t]', line)[0].strip(' "').lower()
            if first.lstrip('# ') in IMAGE_COLUMNS:
                lines[number] = line.lstrip('# ')
                return number, delimiter
            if os.path.splitext(first)[1] in IMAGE_SUFFIXES:
                return number, delimiter
        elif line.strip():
            return number, delimiter
    return len(lines), delimiter


def _delimiter_of(line: str, path: Path) -> str:
    """Return the delimiter of a table from its first row."""
    if path.suffix.lower() == '.tsv' or '\t' in line:
        return '\t'
    # The first of the two between columns is the delimiter; the other one separates tags.
    return ';' if re.match(r'("[^"]*"|[^,;"]*);', line) else ','
