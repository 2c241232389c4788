"""Generated folders: drawn by several processes, written whole or not at all, not redone when they are there."""

import json
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Optional, Union

import cv2
import numpy as np

from mmwsss.utils.files import write_json

__all__ = ['MANIFEST', 'draw_all', 'fill_folder', 'is_done', 'write_picture']

MANIFEST = 'manifest.json'
_JPEG_QUALITY = 92


def write_picture(path: Path, image: np.ndarray) -> None:
    """Write a uint8 BGR image (H, W, 3) as JPEG.

    Raises:
        OSError: The file cannot be written.
    """
    done, data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not done:
        raise OSError(f'{path}: OpenCV cannot encode an image of shape {image.shape} as JPEG')
    path.write_bytes(data.tobytes())


def is_done(folder: Path, settings: dict) -> bool:
    """Return whether ``folder`` contains the set that ``settings`` describe.

    Args:
        folder: Folder of the generated set.
        settings: What the manifest must say.

    Returns:
        True if it is complete; False if the folder is missing or empty.

    Raises:
        FileExistsError: The folder holds something else.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    manifest = folder / MANIFEST
    if not manifest.is_file():
        raise FileExistsError(f'{folder} exists, is not empty and has no {MANIFEST}: '
                              'choose another folder or remove it')
    found = json.loads(manifest.read_text(encoding='utf-8'))
    if found != settings:
        raise FileExistsError(f'{folder} was made with other settings: found {found}, '
                              f'asked for {settings}; choose another folder or remove it')
    return True


def fill_folder(out_dir: Union[str, Path], settings: dict, fill: Callable[[Path], None]) -> bool:
    """Make a folder through ``fill`` in a temporary neighbor and move it into place.

    Args:
        out_dir: Folder to make.
        settings: JSON-able description; written as the manifest and compared on the next call.
        fill: Called with the temporary folder; writes everything but the manifest.

    Returns:
        False if the set was there already, True if it was made now.

    Raises:
        FileExistsError: ``out_dir`` holds something else.
    """
    out_dir = Path(out_dir)
    if is_done(out_dir, settings):
        return False
    parent = out_dir.resolve().parent
    parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f'.{out_dir.name}-', dir=parent))
    try:
        work.chmod(0o755)
        fill(work)
        write_json(settings, work / MANIFEST)
        os.replace(work, out_dir.resolve())
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    return True


def _use_one_thread() -> None:
    cv2.setNumThreads(0)


def draw_all(draw: Callable, jobs: list, nproc: Optional[int] = None) -> Iterable:
    """Run ``draw`` over jobs in processes and yield the results in order.

    Args:
        draw: Picklable function of one job.
        jobs: Picklable jobs.
        nproc: Processes; ``None`` takes one per core, 1 draws in this process.

    Yields:
        ``draw(job)`` for every job, in the jobs' order.

    Raises:
        ValueError: ``nproc`` is below 1.
    """
    nproc = (os.cpu_count() or 1) if nproc is None else nproc
    if nproc < 1:
        raise ValueError(f'nproc must be at least 1, got {nproc}')
    if nproc == 1:
        yield from map(draw, jobs)
        return
    method = 'fork' if 'fork' in multiprocessing.get_all_start_methods() else 'spawn'
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(nproc, mp_context=context, initializer=_use_one_thread) as pool:
        yield from pool.map(draw, jobs, chunksize=max(1, min(32, len(jobs) // (4 * nproc))))
