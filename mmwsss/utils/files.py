"""Write files whole or not at all, find files that are missing, and read in spite of other threads."""

import hashlib
import json
import os
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Union

__all__ = ['atomic_path', 'call_again_if_disturbed', 'file_hash', 'missing_files', 'write_json', 'write_lines']


@contextmanager
def atomic_path(dst: Union[str, os.PathLike]) -> Iterator[Path]:
    """Yield a temporary path that becomes ``dst`` only if the block ends without an error.

    The temporary file lies in the folder of ``dst`` (made if missing), is hidden, keeps the suffix,
    so that libraries which choose a format by suffix work, and has a name of its own per call:
    several processes may write the same ``dst``, the last one wins. On an error, an existing
    ``dst`` stays as it was.

    Args:
        dst (str or PathLike): Path of the finished file.

    Yields:
        Path: Where to write. The file does not exist yet.

    Raises:
        FileNotFoundError: The block ended without having written the file.

    Examples:
        >>> import tempfile
        >>> from PIL import Image
        >>> folder = tempfile.mkdtemp()
        >>> with atomic_path(f'{folder}/mask.png') as tmp:
        ...     Image.new('L', (2, 2)).save(tmp)
        >>> os.listdir(folder)
        ['mask.png']
    """
    dst = Path(dst)
    dst.parent.mkdir(parents=True, exist_ok=True)
    tmp = dst.parent / f'.{dst.stem}.{uuid.uuid4().hex[:12]}{dst.suffix}'
    try:
        yield tmp
        if not tmp.exists():
            raise FileNotFoundError(
                f'nothing was written for {dst}: write to the path that atomic_path yields')
        os.replace(tmp, dst)
    finally:
        tmp.unlink(missing_ok=True)


def write_lines(lines: Iterable[str], dst: Union[str, os.PathLike]) -> None:
    """Write one line per item (UTF-8, a newline after each), whole or not at all.

    Args:
        lines (Iterable[str]): The lines, without newlines.
        dst (str or PathLike): The text file.
    """
    with atomic_path(dst) as tmp:
        tmp.write_text(''.join(f'{line}\n' for line in lines), encoding='utf-8')


def write_json(data: Any, dst: Union[str, os.PathLike], indent: Union[int, None] = 1) -> None:
    """Write ``data`` as JSON (UTF-8), whole or not at all.

    Args:
        data (Any): What :func:`json.dumps` takes.
        dst (str or PathLike): The JSON file.
        indent (int, optional): Spaces per level; None for one line.
    """
    text = json.dumps(data, indent=indent, ensure_ascii=False)
    with atomic_path(dst) as tmp:
        tmp.write_text(text + '\n', encoding='utf-8')


def missing_files(paths: Sequence[Union[str, os.PathLike]]) -> list[str]:
    """Return the paths that are not regular files; each folder is listed once.

    Broken links, folders and pipes count as missing: opening a pipe would wait forever.

    Args:
        paths (Sequence[str or PathLike]): Local files.

    Returns:
        list[str]: Those of ``paths`` that are missing, in their order.
    """
    names: dict[str, set] = defaultdict(set)
    for folder in {os.path.dirname(os.fspath(path)) for path in paths}:
        if os.path.isdir(folder or '.'):
            with os.scandir(folder or '.') as entries:
                names[folder] = {entry.name for entry in entries if entry.is_file()}
    split = ((os.fspath(path), *os.path.split(os.fspath(path))) for path in paths)
    return [path for path, folder, name in split if name not in names[folder]]


def file_hash(path: Union[str, os.PathLike]) -> str:
    """Return the SHA-256 of a file's content in hexadecimal.

    Args:
        path (str or PathLike): The file, read in pieces of 1 MiB.
    """
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def call_again_if_disturbed(read: Callable[[], Any]) -> Any:
    """Call a function that reads a NumPy file, and again if another thread disturbed Python's parser.

    NumPy parses the header of a file as a Python literal. In some versions of Python, such as 3.11.7, this raises a
    ``SystemError`` if garbage is collected meanwhile and another thread then parses, too (issue 106905 of CPython).

    Args:
        read (callable): Called without arguments, at most 21 times.

    Returns:
        Any: What ``read`` returned.

    Raises:
        SystemError: Every call raised one. Other errors are passed on at once.
    """
    for _ in range(20):
        try:
            return read()
        except SystemError:
            continue
    return read()
