"""Errors that the user can mend, and how a tool ends with one."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

__all__ = ['UserError', 'run_tool']


class UserError(ValueError):
    """An error in what the user gave; its message names the culprit and the way out in one line."""


def run_tool(main: Callable[[], None], also: tuple[type[Exception], ...] = ()) -> None:
    """Run a tool's main function and end the process as its outcome demands.

    A :class:`UserError`, a missing file or a file in the place of a folder ends with one line on the error output and
    exit code 2, without a traceback. With ``MMWSSS_DEBUG=1`` in the environment the traceback is shown. Every other
    error passes.

    Args:
        main (Callable): Takes no arguments.
        also (tuple[type]): Further errors of this tool that the user can mend.
    """
    try:
        main()
    except (UserError, FileNotFoundError, NotADirectoryError, *also) as error:
        if os.environ.get('MMWSSS_DEBUG') == '1':
            raise
        message = ' '.join(str(error).split())
        print(f'{Path(sys.argv[0]).name}: {message}', file=sys.stderr)
        sys.exit(2)
