"""Errors that the user can fix, and how a tool reports them."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Optional

from .signals import Stopped, catch_signals, end_with_launcher, requested_signal

__all__ = ['UserError', 'run_tool']


class UserError(ValueError):
    """An error in the user's input; its message names the cause and the remedy in one line."""


def run_tool(main: Callable[[], Optional[int]], also: tuple[type[Exception], ...] = (),
             go_on: str = 'Run the same command again to continue') -> None:
    """Run the main function of a tool; report errors of the user and signals in one line, without a traceback.

    A :class:`UserError`, a missing file or a file in the place of a folder ends with one line on the error output and
    exit code 2. With ``MMWSSS_DEBUG=1`` in the environment the traceback is shown. Other errors are raised unchanged.
    SIGINT and SIGTERM end the tool with one line and exit code 130 or 143; see :mod:`mmwsss.utils.signals`.

    Args:
        main (Callable): Takes no arguments; returns the exit code, or None for 0.
        also (tuple[type]): Further errors of this tool that the user can mend.
        go_on (str): How to continue after a signal, for the line about it.
    """
    end_with_launcher()
    with catch_signals():
        try:
            code = main()
        except Stopped as stop:
            _end_stopped(stop, go_on)
        except (UserError, FileNotFoundError, NotADirectoryError, *also) as error:
            if os.environ.get('MMWSSS_DEBUG') == '1':
                raise
            if requested_signal():
                _end_stopped(_stopped_in(error), go_on)
            print(f'{_name()}: {_one_line(error)}', file=sys.stderr)
            sys.exit(2)
        except Exception as error:
            if not requested_signal() or os.environ.get('MMWSSS_DEBUG') == '1':
                raise
            _end_stopped(_stopped_in(error), go_on)
    if code:
        sys.exit(code)


def _stopped_in(error: Exception) -> Stopped:
    """Return the stop during which an error came, such as that of another process that has stopped before.

    Libraries turn whatever is raised into errors of their own; then the stop itself is the cause.
    """
    cause: Optional[BaseException] = error
    while cause is not None:
        if isinstance(cause, Stopped):
            return cause
        cause = cause.__cause__ or cause.__context__
    return Stopped(requested_signal(), f'(while it finished: {type(error).__name__}: {_one_line(error)})')


def _end_stopped(stop: Stopped, go_on: str) -> None:
    """Print how to continue, in the first process, and exit."""
    if int(os.environ.get('RANK') or 0) == 0:
        print(f'{_name()}: {stop}; what is finished is kept. {go_on}', file=sys.stderr, flush=True)
    sys.exit(stop.code)


def _name() -> str:
    return Path(sys.argv[0]).name


def _one_line(error: Exception) -> str:
    return ' '.join(str(error).split())
