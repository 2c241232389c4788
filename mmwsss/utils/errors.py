"""Errors that the user can fix, and how a tool reports them."""

import faulthandler
import gc
import linecache
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Optional

from torch.cuda import OutOfMemoryError

from .console import quiet_console
from .dist import is_first_process
from .signals import Stopped, catch_signals, end_with_launcher, requested_signal

__all__ = ['DEBUG_VARIABLE', 'ImageError', 'UserError', 'can_be_fixed', 'one_line', 'run_tool']

DEBUG_VARIABLE = 'MMWSSS_DEBUG'
"""str: Environment variable; tools show the traceback of every error if it is 1."""

_KINDS = (ValueError, TypeError, LookupError, RuntimeError, ImportError)
_OWN = ('mmwsss', '__main__')
_CONFIGURED = ('mmengine', 'mmcv', 'mmseg', 'mmpretrain')
_REGISTRY = 'mmengine.registry.build_functions'
_WORKER_TRACEBACK = 'Original Traceback (most recent call last)'
_WORKER_FRAME = re.compile(r'File "([^"]+)", line \d+, in .*\n\s*(.*)')


class UserError(ValueError):
    """An error in the user's input; its message names the cause and the remedy in one line.

    Attributes:
        exit_code (int): That of a tool which ends with this error.
    """

    exit_code = 2


class ImageError(UserError, RuntimeError):
    """An image or its mask cannot be processed; the message names the file and the reason."""


def run_tool(main: Callable[[], Optional[int]], go_on: str = 'Run the same command again to continue') -> None:
    """Run the main function of a tool; report signals and errors that the user can fix without a traceback.

    Every tool starts here. An error that the user can fix (see :func:`can_be_fixed`) ends the tool with one line on the
    error output and exit code 2, or the one of the :class:`UserError`. The line is the message of the error; with
    ``MMWSSS_DEBUG=1`` in the environment, the traceback is shown instead. Other errors are faults of the program and
    are raised unchanged. SIGINT and SIGTERM end the tool with one line and exit code 130 or 143; see
    :mod:`mmwsss.utils.signals`. SIGUSR1 prints what each thread of the process is doing, unless the caller handles it
    otherwise; the process goes on. The log is kept off the console; see
    :func:`mmwsss.utils.console.quiet_console`.

    Args:
        main (Callable): Takes no arguments. May return an exit code; None means 0.
        go_on (str): How to continue after a signal, for the line about it.
    """
    end_with_launcher()
    if hasattr(signal, 'SIGUSR1') and signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL:
        faulthandler.register(signal.SIGUSR1, file=sys.__stderr__)
    gc.freeze()  # what was imported stays; mmengine collects garbage for every data set, which takes 0.3 s otherwise
    with catch_signals(), quiet_console():
        try:
            code = main()
            gc.collect()  # data loaders end their worker processes now; at exit, torch takes their end for a failure
        except Stopped as stop:
            _end_stopped(stop, go_on)
        except Exception as error:
            if os.environ.get(DEBUG_VARIABLE) == '1':
                raise
            if requested_signal():
                _end_stopped(_stopped_in(error), go_on)
            if not can_be_fixed(error):
                raise
            print(f'{Path(sys.argv[0]).name}: {one_line(error)}', file=sys.stderr)
            sys.exit(getattr(error, 'exit_code', 2))
    if code:
        sys.exit(code)


def can_be_fixed(error: BaseException) -> bool:
    """Return whether the user can fix the cause of an error.

    These are errors of the operating system (a missing file, a full disk), too little memory, a config with a syntax
    error or with an argument that a class does not take, and errors that mmwsss or the OpenMMLab libraries, which carry
    out what configs say, raise on purpose. What another library raises because the program uses it wrongly is a fault
    of the program, and so is a failed assertion of its own or without a message.

    Args:
        error (BaseException): An error that was raised and caught.

    Returns:
        bool: True for such errors.
    """
    if isinstance(error, (UserError, OSError, SyntaxError, MemoryError, OutOfMemoryError)):
        return True
    module, statement = _origin(error)
    package = module.split('.')[0]
    if isinstance(error, AssertionError):
        return package in _CONFIGURED and bool(str(error))
    unknown_argument = module == _REGISTRY and isinstance(error, TypeError)
    on_purpose = package in (*_OWN, *_CONFIGURED) and statement.startswith('raise')
    return isinstance(error, _KINDS) and (on_purpose or unknown_argument)


def _origin(error: BaseException) -> tuple[str, str]:
    """Return the module in which an error was raised and the first line of the statement there."""
    in_worker = _WORKER_FRAME.findall(str(error)) if _WORKER_TRACEBACK in str(error) else []
    if in_worker:
        path, statement = in_worker[-1]
        parts = Path(path).with_suffix('').parts
        start = next((k for k, part in enumerate(parts) if part in (*_OWN, *_CONFIGURED)), len(parts))
        return '.'.join(parts[start:]), statement
    frames = list(traceback.walk_tb(error.__traceback__))
    if not frames:
        return '', ''
    frame, line = frames[-1]
    return frame.f_globals.get('__name__') or '', linecache.getline(frame.f_code.co_filename, line).strip()


def one_line(error: BaseException) -> str:
    """Return the message of an error as one line.

    Args:
        error (BaseException): The error. If it comes from a worker process of a dataloader, its message contains a
            traceback, which is left out.

    Returns:
        str: The message, with single blanks in place of line breaks; the name of the class if there is none.
    """
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if _WORKER_TRACEBACK in text:
        name = f'{type(error).__qualname__}: '
        text = text.rpartition(name)[2]
    return ' '.join(text.split()) or type(error).__name__


def _stopped_in(error: Exception) -> Stopped:
    """Return the stop during which an error came, such as that of another process that has stopped before.

    Libraries turn whatever is raised into errors of their own; then the stop itself is the cause.
    """
    cause: Optional[BaseException] = error
    while cause is not None:
        if isinstance(cause, Stopped):
            return cause
        cause = cause.__cause__ or cause.__context__
    return Stopped(requested_signal(), f'(while it finished: {type(error).__name__}: {one_line(error)})')


def _end_stopped(stop: Stopped, go_on: str) -> None:
    """Print how to continue, in the first process, and exit."""
    if is_first_process():
        print(f'{Path(sys.argv[0]).name}: {stop}; what is finished is kept. {go_on}', file=sys.stderr, flush=True)
    sys.exit(stop.code)
