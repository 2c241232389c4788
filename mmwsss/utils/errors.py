"""Errors that the user can fix, and how a tool reports them."""

import linecache
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Optional

from torch.cuda import OutOfMemoryError

__all__ = ['DEBUG_VARIABLE', 'ImageError', 'UserError', 'can_be_fixed', 'one_line', 'run_tool']

DEBUG_VARIABLE = 'MMWSSS_DEBUG'
"""str: Environment variable; tools show the traceback of every error if it is 1."""

_KINDS = (ValueError, TypeError, LookupError, RuntimeError, ImportError)
_RAISED_BY = ('mmwsss', 'mmengine', '__main__')
_REGISTRY = 'mmengine.registry.build_functions'
_WORKER_TRACEBACK = 'Original Traceback (most recent call last)'


class UserError(ValueError):
    """An error in the user's input; its message names the cause and the remedy in one line."""


class ImageError(UserError, RuntimeError):
    """An image or its mask cannot be processed; the message names the file and the reason."""


def run_tool(main: Callable[[], Optional[int]]) -> None:
    """Run the main function of a tool and report errors that the user can fix without a traceback.

    Every tool starts here. An error that the user can fix (see :func:`can_be_fixed`) ends the tool with one line on the
    error output and exit code 2. The line is the message of the error; with ``MMWSSS_DEBUG=1`` in the environment, the
    traceback is shown instead. Other errors are faults of the program and are raised unchanged.

    Args:
        main (Callable): Takes no arguments. May return an exit code; None means 0.
    """
    try:
        code = main()
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE) == '1' or not can_be_fixed(error):
            raise
        print(f'{Path(sys.argv[0]).name}: {one_line(error)}', file=sys.stderr)
        sys.exit(2)
    if code:
        sys.exit(code)


def can_be_fixed(error: BaseException) -> bool:
    """Return whether the user can fix the cause of an error.

    These are errors of the operating system (a missing file, a full disk), too little memory, a config with a syntax
    error or with an argument that a class does not take, and errors that mmwsss or mmengine raise on purpose, by a
    ``raise`` statement of their own. What a library raises because the program uses it wrongly is a fault of the
    program.

    Args:
        error (BaseException): An error that was raised and caught.

    Returns:
        bool: True for such errors.
    """
    if isinstance(error, (UserError, OSError, SyntaxError, MemoryError, OutOfMemoryError)):
        return True
    frames = list(traceback.walk_tb(error.__traceback__))
    if not isinstance(error, _KINDS) or not frames:
        return False
    frame, line = frames[-1]
    module = frame.f_globals.get('__name__') or ''
    on_purpose = linecache.getline(frame.f_code.co_filename, line).strip().startswith('raise')
    unknown_argument = module == _REGISTRY and isinstance(error, TypeError)
    return module.split('.')[0] in _RAISED_BY and (on_purpose or unknown_argument)


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
