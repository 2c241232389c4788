"""One line that shows how far a task is."""

import datetime
import time
from collections.abc import Callable
from types import TracebackType
from typing import Optional, Union

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .console import echo

__all__ = ['ProgressLine']

_MOST_SECONDS = 600

Note = Union[str, Callable[[], str]]


class ProgressLine:
    """Show how far a task is: one live line on a terminal, elsewhere a new line now and then and one at the end.

    Inside the block of another live line, it is not live.

    Args:
        title (str): What is being done, such as ``'pseudo labels'``.
        total (int, optional): Number of steps; None if unknown.
        completed (int): Steps that were done before. Defaults to 0.
        enabled (bool): Whether to show anything, such as in the first process only. Defaults to True.
        seconds (float): Time until the first line where there is no terminal; until each further one, it is twice as
            long as before, but at most ten minutes. Defaults to 30.
        console (Console, optional): The console of rich to print on. Defaults to the standard output.

    Examples:
        >>> with ProgressLine('photographs', total=3) as line:
        ...     for _ in range(3):
        ...         line.advance()
        photographs: 3/3 in 0:00:00
    """

    _shown_live: Optional['ProgressLine'] = None

    def __init__(self,
                 title: str,
                 total: Optional[int] = None,
                 completed: int = 0,
                 enabled: bool = True,
                 seconds: float = 30,
                 console: Optional[Console] = None) -> None:
        self.title, self.total, self.completed = title, total, completed
        self.enabled, self.seconds = enabled, seconds
        self._note: Note = ''
        self._first = completed
        self._began = self._shown = time.monotonic()
        console = console or Console()
        columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                   TextColumn('{task.fields[note]}'))
        live = enabled and console.is_terminal and ProgressLine._shown_live is None
        # Without a thread: worker processes are forked while the line is shown, and would inherit its locks.
        self._live = Progress(*columns, console=console, auto_refresh=False) if live else None

    def __enter__(self) -> 'ProgressLine':
        self._began = self._shown = time.monotonic()
        if self._live:
            ProgressLine._shown_live = self
            self._task = self._live.add_task(self.title, total=self.total, completed=self.completed, note='')
            self._live.start()
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        if self._live:
            self._update_live()
            self._live.stop()
            ProgressLine._shown_live = None
        elif self.enabled:
            echo(f'{self.title}: {self._count()} in {_clock(time.monotonic() - self._began)}{self._note_text()}')

    def advance(self, steps: int = 1) -> None:
        """Count further steps as done.

        Args:
            steps (int): How many. Defaults to 1.
        """
        self.update(self.completed + steps)

    def update(self, completed: Optional[int] = None, note: Optional[Note] = None) -> None:
        """Set how many steps are done, and show it if it is time.

        Args:
            completed (int, optional): Number of steps that are done. Defaults to no change.
            note (str or Callable, optional): What to show behind the line: text, or a function that returns it and is
                called only when the line is shown. Defaults to no change.
        """
        self.completed = self.completed if completed is None else completed
        self._note = self._note if note is None else note
        now = time.monotonic()
        if not self.enabled or now - self._shown < (0.2 if self._live else self.seconds):
            return
        self._shown = now
        if self._live:
            self._update_live()
        else:
            self.seconds = min(2 * self.seconds, _MOST_SECONDS)
            echo(f'{self.title}: {self._count()}{self._remaining(now)}{self._note_text()}')

    def _update_live(self) -> None:
        self._live.update(self._task, completed=self.completed, note=self._note_text().lstrip(', '), refresh=True)

    def _count(self) -> str:
        return f'{self.completed}/{self.total}' if self.total else str(self.completed)

    def _note_text(self) -> str:
        note = self._note() if callable(self._note) else self._note
        return f', {note}' if note else ''

    def _remaining(self, now: float) -> str:
        done = self.completed - self._first
        if not self.total or done <= 0 or self.completed >= self.total:
            return ''
        return f', {_clock((now - self._began) * (self.total - self.completed) / done)} left'


def _clock(seconds: float) -> str:
    return str(datetime.timedelta(seconds=round(seconds)))
