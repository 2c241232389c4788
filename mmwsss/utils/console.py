"""What a tool shows on the console: results, progress and warnings, or the whole log with ``--verbose``.

mmengine's loggers write every record to the console as well as to the log file of a run. In :func:`quiet_console`, in
which every tool runs, the console shows only what its user needs; the files stay as they are.
"""

import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from logging import ERROR, INFO, WARNING, LogRecord, StreamHandler
from typing import Any, Optional

from mmengine.device import get_device
from mmengine.logging import MMLogger
from rich.console import Console
from rich.text import Text
from torch.utils.data import get_worker_info

from .dist import is_first_process, num_processes

__all__ = ['VERBOSE_VARIABLE', 'describe_processes', 'echo', 'is_quiet', 'is_verbose', 'log_table', 'notify',
           'print_facts', 'print_header', 'quiet_console', 'set_verbose', 'show_tables']

VERBOSE_VARIABLE = 'MMWSSS_VERBOSE'
"""str: Environment variable; if it is 1, tools and the tools that they start show the whole log on the console."""

_NEEDLESS = re.compile('|'.join((
    r'is skipped since its requires_grad=False$',  # mmengine, for every frozen parameter
    r'\b(will|would) be deprecated\b',  # of what the packages call themselves
    r'^"HardDiskBackend" is the alias of',  # mmengine, of the same
)))
"""re.Pattern: Warnings in the log that ask the user for nothing."""

_FOR_DEVELOPERS = (DeprecationWarning, PendingDeprecationWarning, FutureWarning, ImportWarning, ResourceWarning)
_CALL_HANDLERS = MMLogger.callHandlers


class _State:
    """What the console of this process shows."""

    quiet = False
    tables = False
    shown: set[str] = set()


def is_verbose() -> bool:
    """Return whether the console shows the whole log."""
    return os.environ.get(VERBOSE_VARIABLE) == '1'


def set_verbose() -> None:
    """Show the whole log on the console, also in the tools that this process starts."""
    os.environ[VERBOSE_VARIABLE] = '1'


def is_quiet() -> bool:
    """Return whether the log is kept off the console: inside :func:`quiet_console`, unless the tool is verbose."""
    return _State.quiet and not is_verbose()


@contextmanager
def quiet_console() -> Iterator[None]:
    """Keep the log off the console in the block, unless the tool is verbose.

    Errors are printed as always. Of the first process, the console also shows warnings, each once, what
    :func:`notify` and :func:`echo` are called with, and tables of results after :func:`show_tables`. Python's warnings
    go into the log, too. Log files are not affected.
    """
    show_warning = warnings.showwarning

    def log_warning(message: Any, category: type[Warning], filename: str, lineno: int, file: Any = None,
                    line: Optional[str] = None) -> None:
        if is_verbose() or file is not None:
            show_warning(message, category, filename, lineno, file, line)
            return
        level = INFO if issubclass(category, _FOR_DEVELOPERS) else WARNING
        MMLogger.get_current_instance().log(level, f'{category.__name__}: {message} ({filename}:{lineno})')

    MMLogger.get_current_instance()  # messages that name no logger are printed if there is none
    MMLogger.callHandlers, warnings.showwarning = _call_handlers, log_warning
    _State.quiet, _State.tables, _State.shown = True, False, set()
    try:
        yield
    finally:
        MMLogger.callHandlers, warnings.showwarning = _CALL_HANDLERS, show_warning
        _State.quiet = False


def show_tables() -> None:
    """Show tables of results on the quiet console from here on."""
    _State.tables = True


def echo(text: str, style: str = '') -> None:
    """Print a line in the first process of a run, above a progress line if there is one.

    Of the worker processes of a data loader, which say the same, only the first prints it.

    Args:
        text (str): The line; nothing in it is markup.
        style (str): Style of rich, such as ``'bold'``. Defaults to none.
    """
    worker = get_worker_info()
    if is_first_process() and (worker is None or worker.id == 0):
        # In a worker of a data loader, the standard output is still that of a live line, which is not the worker's.
        Console(file=sys.__stdout__ if worker else None).print(Text(text, style), soft_wrap=True)


def notify(message: str) -> None:
    """Log a message at level INFO that the user of a tool should see: the quiet console shows it, too, once.

    Args:
        message (str): What to say.
    """
    MMLogger.get_current_instance().info(message, extra={'notify': True})


def log_table(message: str) -> None:
    """Log a table of results at level INFO; the quiet console shows it after :func:`show_tables`.

    Args:
        message (str): The title and the table, on several lines.
    """
    MMLogger.get_current_instance().info(message, extra={'table': True})


def print_header(title: str, **facts: Any) -> None:
    """Print what a tool is about to do.

    Args:
        title (str): The first line.
        **facts (Any): See :func:`print_facts`.
    """
    echo(title, 'bold')
    print_facts(**facts)


def print_facts(**facts: Any) -> None:
    """Print a line for each fact, such as where an output is.

    Args:
        **facts (Any): A value for each name; those that are None or empty are left out.
    """
    for name, value in facts.items():
        if value:
            echo(f'  {name:<11}{value}')


def describe_processes(device: Optional[str] = None, launcher: str = 'none') -> str:
    """Return the device and the number of processes of this run as text, such as ``'cpu, 2 processes'``.

    Args:
        device (str, optional): The device. Defaults to what mmengine chooses.
        launcher (str): See :func:`mmwsss.utils.dist.num_processes`.
    """
    number = num_processes(launcher)
    return f'{device or get_device()}, {number} process{"es" if number > 1 else ""}'


def _call_handlers(logger: MMLogger, record: LogRecord) -> None:
    """Pass a record to the handlers of a logger, and only what the user needs to its console."""
    if is_verbose() or record.levelno >= ERROR:
        _CALL_HANDLERS(logger, record)
        return
    for handler in logger.handlers:
        if record.levelno < handler.level:
            continue
        if type(handler) is StreamHandler:
            _show(record)
        else:
            handler.handle(record)


def _show(record: LogRecord) -> None:
    message = record.getMessage()
    if record.levelno >= WARNING:
        if message not in _State.shown and not _NEEDLESS.search(message):
            _State.shown.add(message)
            echo(f'warning: {message}', 'yellow')
    elif getattr(record, 'notify', False):
        if message not in _State.shown:
            _State.shown.add(message)
            echo(message.strip('\n'))
    elif _State.tables and _is_table(record, message):
        echo(message.strip('\n'))


def _is_table(record: LogRecord, message: str) -> bool:
    """Return whether a record is a table of :func:`log_table` or one of mmseg's ``IoUMetric``."""
    return getattr(record, 'table', False) or message.lstrip('\n').startswith(('+-', 'per class results'))
