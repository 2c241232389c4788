"""Run a recipe behind one line of progress: the stage, the percentage of all work, and the time that is left."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from rich.console import Console
from rich.live import Live

from mmwsss.utils.commands import relative_path

from .runner import RecipeRunner
from .schema import RecipeContext, Stage

__all__ = ['ProgressRunner', 'StageWork', 'duration']

TICK_SECONDS, LINE_SECONDS = 1., 60.
"""float: How often progress is looked at, and how often a line is printed where there is no terminal."""


@dataclass(frozen=True)
class StageWork:
    """How much work a stage is.

    Attributes:
        seconds (float): How long it is expected to take.
        units (int, optional): What :meth:`~mmwsss.recipes.Stage.done_units` returns in the end: iterations of a
            training, files of another stage.
    """

    seconds: float
    units: Optional[int] = None


class ProgressRunner(RecipeRunner):
    """Run the stages of a recipe and show one line of progress in place of commands and their output.

    The output of each stage is in ``<work_dir>/<stage>/stage.log``; its last lines are printed if the stage fails. On a
    terminal the line is redrawn; elsewhere a line is printed every minute.

    Args:
        context (RecipeContext): See :class:`RecipeRunner`.
        console (Console): Where the line is shown.
        work (Mapping[str, StageWork]): The expected work of the stages, by name. Stages without are taken as short.
    """

    def __init__(self, context: RecipeContext, console: Console, work: Mapping[str, StageWork]) -> None:
        super().__init__(context, Console(quiet=True))
        self.display = console
        self.work = work
        self._current: Optional[_Current] = None
        self._finished: set[str] = set()

    def _run_stage(self, stage: Stage, again: bool, lock: int) -> None:
        if not again and self._is_finished(stage):
            self._finished.add(stage.name)
            self.display.print(f'{stage.name}: done', highlight=False)
            return
        self._current = _Current(stage, stage.done_units(self.context) or 0, time.monotonic())
        with self._shown():
            super()._run_stage(stage, again, lock)
        self._finished.add(stage.name)
        self.display.print(f'{self._place(stage)}: finished in {duration(time.monotonic() - self._current.began)}',
                           soft_wrap=True, highlight=False)

    def _print_failure(self, log: Path, last_lines: str) -> None:
        self.display.print(f'The last lines of {relative_path(log)}:', soft_wrap=True, highlight=False)
        self.display.print(last_lines, soft_wrap=True, highlight=False, markup=False)

    @contextmanager
    def _shown(self) -> Iterator[None]:
        """Show the line of progress until the stage ends."""
        ended = threading.Event()
        live = Live(self._line(), console=self.display, auto_refresh=False, transient=True)

        def show() -> None:
            printed = time.monotonic()
            while not ended.wait(TICK_SECONDS):
                if self.display.is_terminal:
                    live.update(self._line(), refresh=True)
                elif time.monotonic() - printed >= LINE_SECONDS:
                    self.display.print(self._line(), soft_wrap=True, highlight=False)
                    printed = time.monotonic()

        if not self.display.is_terminal:
            self.display.print(self._line(), soft_wrap=True, highlight=False)
        thread = threading.Thread(target=show, daemon=True)
        with live if self.display.is_terminal else nullcontext():
            thread.start()
            try:
                yield
            finally:
                ended.set()
                thread.join()

    def _line(self) -> str:
        """Return the line of progress."""
        share, left = self._progress()
        return f'{self._place(self._current.stage)}: {100 * share:.0f} % of all work, about {duration(left)} left'

    def _place(self, stage: Stage) -> str:
        stages = self.context.recipe.stages
        return f'stage {stages.index(stage) + 1}/{len(stages)}, {stage.title or stage.name}'

    def _progress(self) -> tuple[float, float]:
        """Return the share of all work that is done, in [0, 1], and the seconds that are left."""
        current, total, done, left = self._current, 0., 0., 0.
        for stage in self.context.recipe.stages:
            seconds = self._expected(stage).seconds
            total += seconds
            if stage is current.stage:
                share, rest = self._share(current)
                done, left = done + share * seconds, left + rest
            elif stage.name in self._finished:
                done += seconds
            else:
                left += seconds
        return min(done / max(total, 1e-9), 1.), left

    def _share(self, current: _Current) -> tuple[float, float]:
        """Return the share of the running stage that is done, and the seconds that it still needs."""
        expected = self._expected(current.stage)
        elapsed = time.monotonic() - current.began
        units = current.stage.done_units(self.context)
        if expected.units and units is not None and units > current.units_before:
            new = units - current.units_before
            rest = max(expected.units - units, 0) * elapsed / new
            return min(units / expected.units, 1.), rest
        rest = max(expected.seconds - elapsed, 0.)
        return (1 - rest / expected.seconds if expected.seconds else 0.), rest

    def _expected(self, stage: Stage) -> StageWork:
        return self.work.get(stage.name, StageWork(0.))


@dataclass(frozen=True)
class _Current:
    """The stage that is running, its units when it was started, and when that was."""

    stage: Stage
    units_before: int
    began: float


def duration(seconds: float) -> str:
    """Return a duration as a reader says it, such as ``'40 s'``, ``'12 min'`` or ``'3 h 5 min'``."""
    if seconds < 90:
        return f'{seconds:.0f} s'
    minutes = round(seconds / 60)
    return f'{minutes} min' if minutes < 120 else f'{minutes // 60} h {minutes % 60} min'
