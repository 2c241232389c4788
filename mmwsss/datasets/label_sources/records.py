"""Tags from JSON: objects of image -> tags, lists of records, and JSON lines."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

from mmwsss.utils import first_few, parse_json

from .cells import IMAGE_COLUMNS, TAG_COLUMNS, YES_OR_NO, Tags, check_tags, split_tags, truth_of

__all__ = ['read_records']


def read_records(text: str, path: Path, known_classes: Sequence[str]) -> tuple[list[Tags], Optional[list[str]]]:
    """Read the tags of JSON text; :func:`~mmwsss.datasets.labels_from_table` describes the forms.

    Args:
        text (str): Content of the file.
        path (Path): The file; ``.jsonl`` means one object per line.
        known_classes (Sequence[str]): Classes that are known already; their names may be numbers.

    Returns:
        tuple: The entries, and the classes that the canonical format declares (None for other forms).

    Raises:
        ValueError: The text is not valid JSON, has another layout, or a value cannot be meant as tags; the file and
            the image or record are named.
    """
    if path.suffix.lower() == '.jsonl':
        lines = [(f'line {number}', line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        records = [(where, parse_json(line, f'table of tags {path}, {where}')) for where, line in lines]
        return _read_list(records, path, known_classes), None
    data = parse_json(text, f'table of tags {path}')
    declared = None
    if isinstance(data, dict) and isinstance(data.get('labels'), dict):
        declared, data = data.get('classes'), data['labels']
        if declared is not None and not isinstance(declared, list):
            raise ValueError(f"table of tags {path}: 'classes' must be a list of names, got {declared!r:.80}")
    if isinstance(data, dict):
        known_classes = [*known_classes, *(name for name in declared or () if isinstance(name, str))]
        places = ((f'table of tags {path}, image {image!r}', image, value) for image, value in data.items())
        return [Tags(f'image {image!r}', image, _tags_of(value, known_classes, where))
                for where, image, value in places], declared
    if isinstance(data, list):
        records = [(f'record {number}', record) for number, record in enumerate(data)]
        return _read_list(records, path, known_classes), None
    raise ValueError(f'{path} must contain an object of image -> tags or a list of objects with an image and tags, got '
                     f'{type(data).__name__}')


def _read_list(records: Sequence[tuple[str, Any]], path: Path, known_classes: Sequence[str]) -> list[Tags]:
    """Read a list of objects, each with an image and tags."""
    entries = []
    for where, record in records:
        origin = f'table of tags {path}, {where}'
        if not isinstance(record, dict):
            raise ValueError(f'{origin} must be an object with an image and tags, got {record!r:.80}')
        lowered = {str(key).lower(): key for key in record}
        image = next((lowered[name] for name in IMAGE_COLUMNS if name in lowered), None)
        tags = next((lowered[name] for name in TAG_COLUMNS if name in lowered), None)
        if image is None or tags is None:
            raise ValueError(f'{origin} has the keys {first_few(record)}; it needs one of {IMAGE_COLUMNS[:4]} and one '
                             f'of {TAG_COLUMNS[:4]}')
        name = record[image]
        if not isinstance(name, (str, int)) or isinstance(name, bool):
            raise ValueError(f'{origin}: {image!r} must be the name of an image, got {name!r:.80}')
        entries.append(Tags(where, str(name), _tags_of(record[tags], known_classes, origin)))
    return entries


def _tags_of(value: Any, known_classes: Sequence[str], origin: str) -> list[str]:
    """Return the tags of a JSON value: a list of names, a string, an object of name -> 0 or 1, or null for none."""
    if value is None:
        return []
    if isinstance(value, str):
        return check_tags(split_tags(value), known_classes, origin)
    if isinstance(value, dict):
        truths = {tag: None if present is None else truth_of(str(present)) for tag, present in value.items()}
        unclear = [tag for tag, truth in truths.items() if truth is None]
        if unclear:
            raise ValueError(f'{origin}: the value {value[unclear[0]]!r:.80} of {unclear[0]!r} is neither yes nor no; '
                             f'write {YES_OR_NO}')
        return check_tags([tag for tag, truth in truths.items() if truth], known_classes, origin)
    if not isinstance(value, list):
        raise ValueError(f'{origin}: {value!r:.80} is not a list of tags; write a list such as ["cat", "dog"], and [] '
                         'for an image without a class')
    not_text = [tag for tag in value if not isinstance(tag, str)]
    if not_text:
        raise ValueError(f'{origin}: {not_text[0]!r:.80} is not a tag; tags are names of classes, as text')
    return check_tags([tag.strip() for tag in value if tag.strip()], known_classes, origin)
