"""Check where files may be written: never over, around or inside what a run reads."""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Optional, Union

from .errors import UserError
from .files import write_json
from .messages import first_few

__all__ = ['FILES', 'OutputError', 'add_to_seal', 'check_new_file', 'check_output', 'claim_folder', 'path_inside',
           'seal_folder', 'staged_folder']

PathLike = Union[str, os.PathLike]
_DRIVE = re.compile('[A-Za-z]:')
FILES = 'mmwsss_files.json'
"""str: Manifest of a folder whose files do not prove by themselves who has written them."""


class OutputError(UserError):
    """An output could overwrite files that are not ours; the message names them and the remedy."""


def check_output(output: PathLike, inputs: Iterable[Optional[PathLike]], manifest: Optional[str] = None,
                 name: str = 'the output') -> None:
    """Refuse an output that is, contains or lies inside an input, or a folder that is not ours.

    Paths are compared by what they lead to: through symbolic links and ``..``, and by the identity of files and folders
    on the disk.

    Args:
        output (str or PathLike): The file or folder that will be written; need not exist.
        inputs (Iterable[str or PathLike]): Files and folders that the run reads, such as photographs, masks, lists,
            CAMs and checkpoints. None, web addresses and what does not exist are skipped.
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
                              'another path')
    if manifest is not None:
        _require_own_folder(Path(output), manifest, name)


def check_new_file(path: PathLike, inputs: Iterable[Optional[PathLike]], name: str = 'the output') -> None:
    """Refuse a file that exists already or that overlaps with an input.

    Args:
        path (str or PathLike): The file that will be written.
        inputs (Iterable[str or PathLike]): See :func:`check_output`.
        name (str): What messages call the file.

    Raises:
        OutputError: There is something at this path, or it lies inside an input.
    """
    check_output(path, inputs, name=name)
    if os.path.lexists(path):
        raise OutputError(f'{name} {path} exists already: choose another path, or remove it first')


@contextmanager
def staged_folder(folder: PathLike, inputs: Iterable[Optional[PathLike]], name: str = 'the output') -> Iterator[Path]:
    """Yield an empty folder that becomes ``folder``, sealed, only if the block ends without an error.

    It lies beside ``folder``, so that relative paths to other files hold in both. What an earlier run has sealed there
    is replaced.

    Args:
        folder (str or PathLike): The finished folder.
        inputs (Iterable[str or PathLike]): See :func:`check_output`.
        name (str): What messages call the folder.

    Yields:
        Path: Where to write.

    Raises:
        NotADirectoryError: A file stands in the folder's place.
        OutputError: It overlaps with an input, or holds files that are not as an earlier run has left them.
    """
    claim_folder(folder, inputs, name)
    final = Path(os.path.realpath(folder))
    final.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f'.{final.name}-', dir=final.parent))
    old = work.with_name(f'{work.name}-old')
    try:
        work.chmod(0o755)
        yield work
        seal_folder(work)
        if final.exists():
            os.replace(final, old)
        os.replace(work, final)
    finally:
        if old.exists() and not final.exists():
            os.replace(old, final)
        for leftover in (work, old):
            shutil.rmtree(leftover, ignore_errors=True)


def claim_folder(folder: PathLike, inputs: Iterable[Optional[PathLike]], name: str = 'the output') -> None:
    """Check that a folder is new, is empty, or contains only files that an earlier run has sealed.

    The folder is not changed. Use this function for folders that other code fills, such as the predictions of mmseg's
    metric, and call :func:`seal_folder` when the files are written.

    Args:
        folder (str or PathLike): The folder.
        inputs (Iterable[str or PathLike]): See :func:`check_output`.
        name (str): What messages call the folder.

    Raises:
        NotADirectoryError: A file stands in the folder's place.
        OutputError: It overlaps with an input, or holds files that are not as an earlier run has left them.
    """
    folder = Path(folder)
    check_output(folder, inputs, FILES, name)
    if not folder.is_dir():
        return
    try:
        sealed = json.loads((folder / FILES).read_text(encoding='utf-8'))['files'] if any(folder.iterdir()) else {}
        foreign = [file for file, digest in _hashes(folder).items() if sealed.get(file) != digest]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OutputError(f'{folder / FILES} is damaged: choose another folder for {name}') from error
    if foreign:
        raise OutputError(f'{name} {folder} holds {len(foreign)} files that are not as mmwsss has written them: '
                          f'{first_few(foreign, 3)}. Choose a new or an empty folder')


def seal_folder(folder: PathLike) -> None:
    """List all files of a folder with their hashes, so that :func:`claim_folder` recognizes them.

    Args:
        folder (str or PathLike): A folder that was claimed before.
    """
    write_json({'files': _hashes(Path(folder))}, Path(folder) / FILES)


def add_to_seal(path: PathLike) -> None:
    """List a file that was added to a sealed folder, so that :func:`claim_folder` still recognizes the folder.

    Args:
        path (str or PathLike): The file, directly in its folder; nothing happens where the folder has no manifest.
    """
    path = Path(path)
    manifest = path.parent / FILES
    if manifest.is_file():
        content = json.loads(manifest.read_text(encoding='utf-8'))
        content['files'][path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        write_json(content, manifest)


def _hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of all files below a folder except the manifest, by relative path."""
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob('*')) if path.is_file() and path != folder / FILES}


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
    """Return how an output relates to an existing input, as part of a message; empty if they are unrelated."""
    own, other = _identities(output), _identities(path)
    if own[0] is not None and own[0] == other[0]:
        return 'is the same as'
    if own[0] is not None and own[0] in other[1:]:
        return 'contains'
    if os.path.isdir(path) and other[0] in own[1:]:
        return 'lies inside'
    return ''


def _identities(path: PathLike) -> list[Optional[tuple[int, int]]]:
    """Return device and inode of a path and of its parent folders, innermost first; None for missing ones."""
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
