"""What a stage was made from and what it left, as digests of content."""

import hashlib
import json
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Optional

from mmwsss.apis import checkpoint_hash

from .place import Place, data_files
from .recipe import Stage

__all__ = ['content_digest', 'stage_fingerprint']


def content_digest(paths: Iterable[Path]) -> Optional[str]:
    """SHA-256 over the content of files and of all files in folders, hidden ones left out.

    Args:
        paths: Files and folders; what they are called outside of a folder does not count.

    Returns:
        str, optional: In hexadecimal; None where there are none, or one does not exist.
    """
    digest, count = hashlib.sha256(), 0
    for path in paths:
        files = sorted(_files_below(path)) if path.is_dir() else [path]
        if not files or not files[0].is_file():
            return None
        for file in files:
            name = str(file.relative_to(path)) if file != path else ''
            digest.update(f'{name}\0{_file_digest(file)}\n'.encode())
            count += 1
    return digest.hexdigest() if count else None


def _files_below(folder: Path) -> Iterable[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names if not name.startswith('.'))


def _file_digest(path: Path) -> str:
    status = path.stat()
    return _digest_of_state(path, status.st_size, status.st_mtime_ns)


@cache
def _digest_of_state(path: Path, size: int, modified: int) -> str:
    return checkpoint_hash(path)


def stage_fingerprint(stage: Stage, place: Place, needed: dict[str, str]) -> str:
    """SHA-256 over what decides about a stage's outcome, in hexadecimal.

    That is: its kind, its resolved config with the overrides, the further words of its command, the content of the
    lists of images and image labels, and that of what it needs of earlier stages. How many processes run it, where
    the output folder is, titles and the choice of metrics do not count.

    Args:
        stage: The stage.
        place: Where it runs.
        needed: Digests of the outputs of the stages it needs, by name.
    """
    described = {key: getattr(stage, key) for key in ('kind', 'script', 'creates', 'split', 'args', 'needs')}
    described['needed'] = needed
    described['data_root'] = place.data_root or place.recipe.data_root
    if place.config_name(stage):
        cfg = place.config(stage)
        described['config'] = cfg.to_dict()
        described['data'] = {str(path): content_digest([path]) for path in data_files(cfg)}
    text = json.dumps(described, sort_keys=True, default=str).replace(str(place.out), '{out}')
    return hashlib.sha256(text.encode()).hexdigest()
