"""What a recipe shows of the output of its commands: the last line now and then, and the end after a failure."""

import io
import time
from collections import deque
from types import TracebackType
from typing import Optional

from rich.console import Console
from rich.text import Text

__all__ = ['StageOutput']

_LINES_KEPT = 20
_SECONDS = 60


class StageOutput(io.TextIOBase):
    """A stream that shows the newest line written to it as one line: live on a terminal, elsewhere now and then.

    Args:
        name (str): Name of the stage.
        console (Console): Where to show it.
    """

    def __init__(self, name: str, console: Console) -> None:
        self.name, self.console = name, console
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._rest = ''
        self._shown = time.monotonic()
        self._status = console.status(f'{name} ...') if console.is_terminal else None

    def __enter__(self) -> 'StageOutput':
        if self._status:
            self._status.start()
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        if self._status:
            self._status.stop()

    def write(self, text: str) -> int:
        """Take what the command has printed.

        Args:
            text (str): Any part of its output.

        Returns:
            int: Number of characters that were taken.
        """
        *lines, self._rest = (self._rest + text).split('\n')
        self._lines.extend(line for line in lines if line.strip())
        if lines and self._lines:
            self._show(self._lines[-1])
        return len(text)

    def last_lines(self) -> str:
        """Return the last lines of the output, for a report on a failure."""
        return '\n'.join([*self._lines, self._rest] if self._rest else self._lines)

    def _show(self, line: str) -> None:
        if self._status:
            text = Text(f'{self.name}: {line}')
            text.truncate(self.console.width - 4, overflow='ellipsis')  # the line must not wrap
            self._status.update(text)
        elif time.monotonic() - self._shown > _SECONDS:
            self._shown = time.monotonic()
            self.console.print(f'{self.name}: {line}', soft_wrap=True, highlight=False, markup=False)
