"""Errors that the user can fix, and how a tool reports them."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

__all__ = ['UserError', 'run_tool']


class UserError(ValueError):
    """An error in the user's input; its message names the cause and the remedy in one line."""


def run_tool(main: Callable[[], None], also: tuple[type[Exception], ...] = ()) -> None:
    """Run the main function of a tool and report errors of the user without a traceback.

    A :class:`UserError`, a missing file or a file in the place of a folder ends with one line on the error output and
    exit code 2, without a traceback. With ``MMWSSS_DEBUG=1`` in the environment the traceback is shown. Other errors
    are raised unchanged.

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
