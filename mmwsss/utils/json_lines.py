"""Files that grow while a training runs: a JSON object on each line."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Union

from .files import write_lines

__all__ = ['add_line', 'drop_lines_after', 'read_lines']

PathLike = Union[str, os.PathLike]


def add_line(path: PathLike, data: Mapping[str, Any]) -> None:
    """Append a JSON object as one line; the file and its folder are made if missing."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'a', encoding='utf-8') as file:
        file.write(json.dumps(data) + '\n')


def read_lines(path: PathLike) -> list[dict[str, Any]]:
    """Read the JSON objects of a file; a last line that a killed process has not finished is left out.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: Another line is no JSON object.
    """
    lines = Path(path).read_text(encoding='utf-8').splitlines()
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            found.append(dict(json.loads(line)))
        except (ValueError, TypeError) as error:
            if number < len(lines):
                raise ValueError(f'{path}: line {number} is no JSON object: {error}') from error
    return found


def drop_lines_after(path: PathLike, iteration: int) -> None:
    """Drop lines whose ``iter`` is larger than ``iteration``, which a resumed training writes again.

    Without such a file, nothing happens.
    """
    if Path(path).is_file():
        kept = [line for line in read_lines(path) if line['iter'] <= iteration]
        write_lines(map(json.dumps, kept), path)
