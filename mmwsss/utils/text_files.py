"""Read text and JSON files, with errors that name the file and the line."""

import codecs
import json
import os
from pathlib import Path
from typing import Any, Union

__all__ = ['parse_json', 'read_json', 'read_text']

_MARKS = ((codecs.BOM_UTF8, 'utf-8-sig'), (codecs.BOM_UTF32_LE, 'utf-32'), (codecs.BOM_UTF32_BE, 'utf-32'),
          (codecs.BOM_UTF16_LE, 'utf-16'), (codecs.BOM_UTF16_BE, 'utf-16'))


def read_text(path: Union[str, os.PathLike], what: str = 'file') -> str:
    """Read a text file in UTF-8, or in UTF-16 or UTF-32 if a byte order mark says so.

    Args:
        path (str or PathLike): The file.
        what (str): What the file is, for errors, for instance ``'split list'``.

    Returns:
        str: The text, without byte order mark.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not a regular file, or not text in one of these encodings.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f'{what} {path} does not exist')
    if not path.is_file():
        raise ValueError(f'{what} {path} is not a regular file')
    content = path.read_bytes()
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), 'utf-8')
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[:error.start].count(b'\n') + 1
        raise ValueError(f'{what} {path} is not valid {encoding.upper()} text: line {line} has the byte '
                         f'0x{content[error.start]:02x}. Save it as UTF-8') from error
    if '\0' in text:
        line = text[:text.index('\0')].count('\n') + 1
        raise ValueError(f'{what} {path} contains a NUL character in line {line}, so it is not UTF-8 text. '
                         'Save it as UTF-8')
    return text


def read_json(path: Union[str, os.PathLike], what: str = 'file') -> Any:
    """Read a JSON file; see :func:`read_text` and :func:`parse_json` for what is refused.

    Args:
        path (str or PathLike): The file.
        what (str): What the file is, for errors.

    Returns:
        Any: The parsed content.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not text or not valid JSON, or an object in it has a key twice.
    """
    return parse_json(read_text(path, what), f'{what} {path}')


def parse_json(text: str, origin: str) -> Any:
    """Parse JSON and refuse what Python's parser lets pass: keys that occur twice, NaN and Infinity.

    Args:
        text (str): The text.
        origin (str): Where it was read, for errors.

    Returns:
        Any: The parsed content.

    Raises:
        ValueError: The text is not valid JSON, or an object in it has a key twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_object_of, parse_constant=_refuse_constant)
    except _RefusedError as error:
        raise ValueError(f'{origin}: {error}') from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{origin} is not valid JSON: {error}') from error


class _RefusedError(Exception):
    """JSON content that Python's parser accepts but that is ambiguous."""


def _object_of(pairs: list) -> dict:
    """Build a dictionary, and refuse a key that occurs twice."""
    found: dict = {}
    for key, value in pairs:
        if key in found:
            raise _RefusedError(f'the key {key!r} occurs twice; keep one of the two')
        found[key] = value
    return found


def _refuse_constant(name: str) -> None:
    """Refuse NaN and Infinity, which JSON does not have."""
    raise _RefusedError(f'it contains {name}, which JSON does not have')
