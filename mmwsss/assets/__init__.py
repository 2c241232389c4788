"""Checkpoints that travel with the package, loaded as ``mmwsss://<name>``, the hash in the file name optional."""

from pathlib import Path
from typing import Optional

import torch
from mmengine.runner.checkpoint import CheckpointLoader

__all__ = ['asset_path', 'list_assets']

SCHEME = 'mmwsss://'
_FOLDER = Path(__file__).parent


def list_assets() -> list[str]:
    """Return the file names of the shipped checkpoints."""
    return sorted(path.name for path in _FOLDER.glob('*.pth'))


def asset_path(name: str) -> Path:
    """Find a shipped checkpoint.

    Args:
        name: File name, with or without the ``mmwsss://`` in front and the ``-<hash>.pth`` at the end.

    Returns:
        Its path.

    Raises:
        FileNotFoundError: No such checkpoint is shipped, or several differ in the hash only; the message lists all.
    """
    bare = name[len(SCHEME):] if name.startswith(SCHEME) else name
    found = [asset for asset in list_assets() if bare in (asset, asset.rpartition('-')[0])]
    if len(found) != 1:
        shipped = ', '.join(SCHEME + asset for asset in list_assets()) or 'none'
        raise FileNotFoundError(f'{name!r} names {len(found)} of the checkpoints that come with mmwsss: {shipped}')
    return _FOLDER / found[0]


@CheckpointLoader.register_scheme(prefixes=SCHEME, force=True)
def load_asset(filename: str, map_location: Optional[str] = None) -> dict:
    """Load a shipped checkpoint for mmengine's ``init_cfg`` and ``load_from``.

    Args:
        filename: ``mmwsss://<name>``.
        map_location: As in ``torch.load``.

    Returns:
        The checkpoint: ``state_dict`` and ``meta``.

    Raises:
        FileNotFoundError: No such checkpoint is shipped.
    """
    return torch.load(asset_path(filename), map_location=map_location, weights_only=True)
