"""Stop a tool by SIGINT or SIGTERM: at once, or when the image or iteration in progress is finished."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Optional, TypeVar

__all__ = ['Stopped', 'catch_signals', 'finish_first', 'raise_if_stopped', 'requested_signal', 'end_with_launcher',
           'shield_worker', 'until_stopped']

SIGNALS = (signal.SIGINT, signal.SIGTERM)
LAUNCHER_POLL_SECONDS = 0.5
LAUNCHER_VARIABLE = 'MMWSSS_LAUNCHER'
"""str: Environment variable with the process id of the launcher."""

T = TypeVar('T')


class Stopped(SystemExit):
    """A signal ended the run; if nobody catches it, the process exits with 130 (SIGINT) or 143 (SIGTERM).

    Args:
        number (int): Number of the signal.
        where (str): What was interrupted, as part of a message, such as ``'in stage cam'``.
    """

    def __init__(self, number: int, where: str = '') -> None:
        super().__init__(128 + number)
        self.number = int(number)
        self.where = where

    def __str__(self) -> str:
        return ' '.join(filter(None, ['stopped by', signal.Signals(self.number).name, self.where]))


class _State:
    """What the process ``owner`` knows about signals; in a fork of it, ``owner`` is another process.

    Attributes:
        requested: The first signal that asked the process to stop.
        waiting: Blocks of :func:`finish_first` that it is in.
        owner: Process id of the process that is in :func:`catch_signals`.
        mask: Signals that were blocked before a fork that is in progress.
    """

    requested: Optional[int] = None
    waiting: int = 0
    owner: Optional[int] = None
    mask: Optional[set] = None


def requested_signal() -> Optional[int]:
    """Return the number of the signal that asked this process to stop, or None."""
    return _State.requested


def raise_if_stopped() -> None:
    """Raise :class:`Stopped` if a signal has asked this process to stop."""
    if _State.requested is not None:
        raise Stopped(_State.requested)


@contextmanager
def catch_signals() -> Iterator[None]:
    """Turn SIGINT and SIGTERM into :class:`Stopped` in the block.

    The exception is raised at once, except in a block of :func:`finish_first`. A signal that is ignored when the block
    begins stays ignored: shells start background processes of scripts so that Ctrl-C does not reach them. In other
    threads than the main one, where Python handles no signals, nothing happens.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    earlier = {number: signal.getsignal(number) for number in SIGNALS}
    _State.requested, _State.waiting, _State.owner = None, 0, os.getpid()
    for number, handler in earlier.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _handle)
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        _State.requested, _State.waiting, _State.owner = None, 0, None


@contextmanager
def finish_first() -> Iterator[None]:
    """Let the block finish what it is at: the first signal is only recorded, the second one raises at once.

    The block looks at :func:`requested_signal`, or calls :func:`raise_if_stopped`, after each image or iteration.
    Outside :func:`catch_signals`, the block runs as usual.
    """
    _State.waiting += 1
    try:
        yield
    finally:
        _State.waiting = max(_State.waiting - 1, 0)


def until_stopped(items: Iterable[T]) -> Iterator[T]:
    """Yield the items until a signal asks to stop.

    Args:
        items (Iterable): What to process inside :func:`finish_first`, such as images.
    """
    for item in items:
        yield item
        if _State.requested is not None:
            return


def shield_worker(*_: Any) -> None:
    """Let a worker process outlive the signal that stops the process it works for.

    A terminal and a launcher send a signal to workers too, and a process without its workers cannot finish what it is
    at. SIGINT is ignored, and so is any SIGTERM that the parent has not sent itself. Call this function in a process of
    :mod:`multiprocessing`. Where the system does not tell who has sent a signal, SIGTERM is left as it is. It also ends
    a process that has other threads already, as one that was spawned and not forked has after libraries started theirs:
    only this thread, and those that it starts, can be told to wait.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None and hasattr(signal, 'sigwaitinfo'):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_obey_parent, args=(parent.pid, ), daemon=True).start()


def end_with_launcher() -> None:
    """Kill this process soon after the launcher that has started it was killed, and could not end it.

    Otherwise the processes of a killed distributed run would go on, and write beside those of the run that resumes it,
    or wait for the launcher for half an hour. ``tools/launch.py`` says which process it is, in case it is killed before
    this function is called. Without a launcher of torch, nothing happens.
    """
    launcher = int(os.environ.pop(LAUNCHER_VARIABLE, os.getppid()))
    if 'TORCHELASTIC_RUN_ID' in os.environ:
        threading.Thread(target=_watch_launcher, args=(launcher, ), daemon=True).start()


def _handle(number: int, _: Any) -> None:
    """Record a signal; raise at once, unless it is the first one and the process finishes what it is at."""
    if os.getpid() != _State.owner:  # a worker that was forked: its parent decides
        return
    first = _State.requested is None
    _State.requested = _State.requested or number
    if not (first and _State.waiting):
        raise Stopped(_State.requested)


def _hold_sigterm() -> None:
    """Block SIGTERM while the process is forked; the new one would lose it."""
    if _State.owner == os.getpid():
        _State.mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _release_sigterm() -> None:
    """Restore what :func:`_hold_sigterm` has changed."""
    if _State.mask is not None:
        mask, _State.mask = _State.mask, None
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _let_sigterm_end_worker() -> None:
    """Let the system end a process that was forked on SIGTERM, without Python.

    Python runs a handler between two instructions. A worker that begins to wait for a lock when the signal arrives
    would wait for ever, if the worker that holds the lock was ended just before.
    """
    if signal.getsignal(signal.SIGTERM) is _handle:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _release_sigterm()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(before=_hold_sigterm, after_in_parent=_release_sigterm, after_in_child=_let_sigterm_end_worker)


def _obey_parent(parent: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(128 + signal.SIGTERM)


def _watch_launcher(launcher: int) -> None:
    while os.getppid() == launcher:
        time.sleep(LAUNCHER_POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)
