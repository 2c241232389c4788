"""Where files may be written: never over, around or inside what a run reads."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Optional, Union

from .messages import first_few

__all__ = ['OutputError', 'check_output', 'path_inside']

PathLike = Union[str, os.PathLike]
_DRIVE = re.compile('[A-Za-z]:')


class OutputError(ValueError):
    """Writing there could destroy what somebody else has written; the message says what and the way out."""


def check_output(output: PathLike, inputs: Iterable[Optional[PathLike]], manifest: Optional[str] = None,
                 name: str = 'the output') -> None:
    """Refuse an output that is, contains or lies inside an input, or a folder that is not ours.

    Paths are compared by what they lead to: through symbolic links and ``..``, and by the identity of files and folders
    on the disk.

    Args:
        output (str or PathLike): The file or folder that will be written; need not exist.
        inputs (Iterable[str or PathLike]): Files and folders that the run reads, such as photographs, masks, lists,
            class maps and checkpoints. None, web addresses and what does not exist are skipped.
        manifest (str, optional): For folders: a file of this name marks a folder as written by us. Without it in the
            folder, a folder that holds anything is refused.
        name (str): What messages call the output, such as ``'--out-dir'``.

    Raises:
        NotADirectoryError: ``manifest`` is given, and a file stands in the folder's place.
        OutputError: The output overlaps with an input, or the folder holds what nobody can prove to be ours.
    """
    for path in inputs:
        if path is None or '://' in str(path) or not os.path.exists(path):
            continue
        relation = _relation(output, path)
        if relation:
            raise OutputError(f'{name} {output} {relation} {path}, which this run reads and must not overwrite: choose '
                              'another folder')
    if manifest is not None:
        _require_own_folder(Path(output), manifest, name)


def path_inside(folder: PathLike, name: str, suffix: str = '') -> Path:
    """Return the path of a file below a folder, and refuse names that lead out of it.

    Args:
        folder (str or PathLike): The folder.
        name (str): Name of the file without its suffix, such as an image id; may have subfolders (``a/b``).
        suffix (str): Added to the name, with its dot.

    Returns:
        Path: ``folder / (name + suffix)``.

    Raises:
        OutputError: The name is empty, absolute, has a part ``.`` or ``..``, a backslash, a drive or a NUL, or a
            symbolic link leads out of the folder.
    """
    parts = str(name).split('/')
    if '\\' in name or '\0' in name or any(part in ('', '.', '..') or _DRIVE.match(part) for part in parts):
        raise OutputError(f'{name!r} cannot be the name of a file in {folder}: it is empty or leads out of the folder. '
                          'Image ids are relative paths without . and .. and backslashes')
    path = Path(folder, f'{name}{suffix}')
    root, parent = os.path.realpath(folder), os.path.realpath(path.parent)
    if parent != root and not parent.startswith(root.rstrip(os.sep) + os.sep):
        raise OutputError(f'{path} is not inside {folder}: a symbolic link leads to {parent}. Choose another folder')
    return path


def _relation(output: PathLike, path: PathLike) -> str:
    """How an output relates to an existing input, in words; empty if they have nothing in common."""
    own, other = _identities(output), _identities(path)
    if own[0] is not None and own[0] == other[0]:
        return 'is the same as'
    if own[0] is not None and own[0] in other[1:]:
        return 'contains'
    if os.path.isdir(path) and other[0] in own[1:]:
        return 'lies inside'
    return ''


def _identities(path: PathLike) -> list[Optional[tuple[int, int]]]:
    """Device and inode of what a path leads to and of the folders around it, from the inside; None for missing ones."""
    real = Path(os.path.realpath(path))
    found: list[Optional[tuple[int, int]]] = []
    for place in (real, *real.parents):
        try:
            status = os.stat(place)
            found.append((status.st_dev, status.st_ino))
        except OSError:
            found.append(None)
    return found


def _require_own_folder(folder: Path, manifest: str, name: str) -> None:
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f'{name} {folder} is a file, not a folder')
    if not folder.is_dir() or (folder / manifest).is_file():
        return
    foreign = sorted(path.name for path in folder.iterdir())
    if foreign:
        raise OutputError(f'{name} {folder} already holds {len(foreign)} files or folders, but no {manifest} that says '
                          f'mmwsss has written them: {first_few(foreign, 3)}. Choose a new or an empty folder')
