"""Fetching published files that are no checkpoints of PyTorch."""

from pathlib import Path

import torch
from mmengine.dist import barrier, is_main_process

__all__ = ['cached_download']


def cached_download(url: str) -> str:
    """Give the path of a URL's file in torch's cache of checkpoints, fetched once, by the first process of a run.

    Args:
        url: An http(s) URL, which ends with the name of the file.

    Raises:
        URLError: The URL cannot be read.
    """
    path = Path(torch.hub.get_dir(), 'checkpoints', url.rsplit('/', 1)[1])
    if is_main_process() and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), progress=False)
    barrier()
    return str(path)
