"""Worker processes that make and write labels beside the network."""

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Optional

import cv2
import numpy as np
import torch

from .label_settings import LabelSettings
from .labelling import LabelJob, LabelMaker, PseudoLabelError

__all__ = ['LabelWriter']


class LabelWriter:
    """Finishes jobs, in worker processes beside the caller or at once.

    A context manager; on an error, jobs not yet begun are dropped.

    Args:
        settings (LabelSettings): What to make.
        palette (Sequence): Colours of the label maps.
        workers (int): Worker processes; with 0, the caller does the work.
    """

    def __init__(self, settings: LabelSettings, palette: Sequence, workers: int = 0) -> None:
        self._arguments = (settings, palette)
        self._workers = workers
        self._pool: Optional[ProcessPoolExecutor] = None
        self._make = LabelMaker(*self._arguments)
        self._pending: deque[Future] = deque()

    def __enter__(self) -> 'LabelWriter':
        if self._workers:
            self._pool = ProcessPoolExecutor(self._workers, _worker_context(), _start_worker, self._arguments)
            self._pool.submit(os.getpid)  # workers start while the caller makes the first maps
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if self._pool:
            self._pool.shutdown(wait=True, cancel_futures=kind is not None)

    def run(self, jobs: Iterable[LabelJob]) -> Iterator[np.ndarray]:
        """Take jobs as they come; yield the pixel counts (256,) of each as it is finished, in order.

        Raises:
            PseudoLabelError: See :meth:`write`.
        """
        for job in jobs:
            yield from self.write(job)
        yield from self.flush()

    def write(self, job: LabelJob) -> Iterator[np.ndarray]:
        """Take a job; yield the pixel counts (256,) of the jobs that are finished by now, in order.

        Raises:
            PseudoLabelError: A file could not be read or written, or a worker was killed; the message says which.
        """
        if not self._pool:
            yield self._make(job)
            return
        self._pending.append(self._submit(job))
        while len(self._pending) > 2 * self._workers or self._pending and self._pending[0].done():
            yield self._next()

    def flush(self) -> Iterator[np.ndarray]:
        """Wait for the jobs under way; yield their pixel counts (256,)."""
        while self._pending:
            yield self._next()

    def _submit(self, job: LabelJob) -> Future:
        try:
            return self._pool.submit(_work, job)
        except BrokenProcessPool as error:
            raise _worker_died() from error

    def _next(self) -> np.ndarray:
        try:
            return self._pending.popleft().result()
        except BrokenProcessPool as error:
            raise _worker_died() from error


def _worker_died() -> PseudoLabelError:
    return PseudoLabelError('a labelling process was ended from outside, perhaps for want of memory: the same '
                            'command goes on from here, with --workers 1 or 0 it needs less')


def _worker_context() -> multiprocessing.context.BaseContext:
    """Fresh processes: forking one that has threads or a GPU context is not safe."""
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context('forkserver' if 'forkserver' in methods else 'spawn')
    if 'forkserver' in methods:
        context.set_forkserver_preload([__name__])
    return context


_worker_make: Optional[LabelMaker] = None


def _start_worker(settings: LabelSettings, palette: Sequence) -> None:
    """Set up a worker process; each uses one core."""
    global _worker_make
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    _worker_make = LabelMaker(settings, palette)


def _end_with_parent() -> None:
    """End this process when the one it works for is gone: a killed one cannot tell its workers."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(job: LabelJob) -> np.ndarray:
    return _worker_make(job)
