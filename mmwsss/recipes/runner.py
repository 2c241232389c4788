"""Running the stages of a recipe: what is finished is skipped, what was interrupted goes on."""

from __future__ import annotations

import fcntl
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Optional

from rich.console import Console

from mmwsss.utils import write_json

from .fingerprint import content_digest, stage_fingerprint
from .kinds import STAGE_KINDS, StageKind
from .launch import run_command, shown_command, shown_path
from .place import Place
from .recipe import RecipeError, Stage
from .report import write_report

__all__ = ['RecipeRunner']

DONE, STARTED = 'stage.json', 'started.json'


class RecipeRunner:
    """Runs the stages of a recipe in their order.

    In ``<out>/<stage>`` lie what the stage's commands leave; ``started.json``, the fingerprint of what was begun; and,
    once it has ended well, ``stage.json`` with fingerprint, digest of the outputs, numbers, time and commands. A stage
    whose fingerprint and outputs are those of ``stage.json`` is skipped. One that was begun with the same fingerprint
    goes on where it was. Otherwise its folder is emptied.

    Args:
        place: The recipe and where it runs.
        console: What is going on is printed there.
    """

    def __init__(self, place: Place, console: Console) -> None:
        self.place = place
        self.console = console

    def run(self, start: Optional[str] = None, only: Sequence[str] = ()) -> list[dict]:
        """Run what is to be done, and write the report after every stage.

        Args:
            start: This stage and all that follow are done anew.
            only: The stages to run; all if empty.

        Returns:
            list[dict]: What ``stage.json`` holds, of all stages that are done.

        Raises:
            RecipeError: A stage failed, or needs one that was left out and is not done; or another run of the recipe
                uses the folder.
        """
        stages = self._chosen(start, only)
        names = [stage.name for stage in self.place.recipe.stages]
        with _lock(self.place.out) as lock:
            for stage in stages:
                anew = start is not None and names.index(stage.name) >= names.index(start)
                self._run_stage(stage, anew, lock)
                records = self.records()
                write_report(self.place.recipe, records, self.place.out)
        return records

    def preview(self, start: Optional[str] = None, only: Sequence[str] = ()) -> None:
        """Print the stages, whether they are done, and their commands; run nothing."""
        names = [stage.name for stage in self.place.recipe.stages]
        for stage in self._chosen(start, only):
            anew = start is not None and names.index(stage.name) >= names.index(start)
            state = 'to do' if anew or not self._is_done(stage) else 'done'
            self.console.print(f'# {stage.name} ({stage.kind}): {state}', style='bold', soft_wrap=True)
            for words in _kind(stage).commands(stage, self.place):
                self._print_command(words)

    def records(self) -> list[dict]:
        """What ``stage.json`` holds, of all stages that are done as the recipe stands now, in their order."""
        return [self._record(stage) for stage in self.place.recipe.stages if self._is_done(stage)]

    def _chosen(self, start: Optional[str], only: Sequence[str]) -> list[Stage]:
        recipe = self.place.recipe
        for name in [*only, *([start] if start else [])]:
            recipe.stage(name)
        return [stage for stage in recipe.stages if not only or stage.name in only]

    def _run_stage(self, stage: Stage, anew: bool, lock: int) -> None:
        self._require(stage)
        if not anew and self._is_done(stage):
            self.console.print(f'[bold]{stage.name}[/]: done', highlight=False)
            return
        self.console.rule(f'[bold]{stage.name}')
        fingerprint = self._fingerprint(stage)
        attempt = self._begin(stage, fingerprint, anew)
        began = time.perf_counter()
        commands = _kind(stage).commands(stage, self.place)
        for words in commands:
            self._print_command(words)
            code = run_command(words, keep_open=[lock])
            if code:
                raise RecipeError(f'stage {stage.name} failed with exit code {code}; its command is printed above. The '
                                  'same call goes on from there')
        self._finish(stage, fingerprint, commands, time.perf_counter() - began, attempt)

    def _require(self, stage: Stage) -> None:
        for name in stage.needs:
            if not self._is_done(self.place.recipe.stage(name)):
                raise RecipeError(f'stage {stage.name} needs {name}, which is not done: leave --only out, or name it '
                                  'there too')

    def _begin(self, stage: Stage, fingerprint: str, anew: bool) -> int:
        """Prepare the folder; give the number of this attempt."""
        folder = self.place.folder(stage)
        started = _read(folder / STARTED)
        if folder.is_dir() and any(folder.iterdir()):
            if started is None:
                raise RecipeError(f'{folder} holds files that no stage of a recipe left: move them, or choose another '
                                  '--out')
            if anew or started['fingerprint'] != fingerprint:
                _remove(folder)
                started = None
        attempt = 1 + (started or {}).get('attempt', 0)
        write_json({'fingerprint': fingerprint, 'attempt': attempt}, folder / STARTED)
        (folder / DONE).unlink(missing_ok=True)
        return attempt

    def _finish(self, stage: Stage, fingerprint: str, commands: list, seconds: float, attempt: int) -> None:
        kind = _kind(stage)
        output = content_digest(kind.outputs(stage, self.place))
        if output is None:
            missing = ', '.join(map(shown_path, kind.outputs(stage, self.place)))
            raise RecipeError(f'stage {stage.name} ended without an error but did not leave {missing or "any result"}')
        results = kind.results(stage, self.place)
        pictures = kind.pictures(stage, self.place)
        write_json({
            'name': stage.name, 'title': stage.title or stage.name, 'kind': stage.kind, 'fingerprint': fingerprint,
            'output': output, 'split': kind.split(stage, self.place) if results else '', 'results': results,
            'seconds': round(seconds, 1), 'attempt': attempt, 'commands': list(map(shown_command, commands)),
            'pictures': pictures and str(pictures.relative_to(self.place.out))
        }, self.place.folder(stage) / DONE)

    def _record(self, stage: Stage) -> Optional[dict]:
        return _read(self.place.folder(stage) / DONE)

    def _is_done(self, stage: Stage) -> bool:
        """Whether a stage and all it needs are finished as the recipe stands now."""
        record = self._record(stage)
        if record is None or not all(self._is_done(self.place.recipe.stage(name)) for name in stage.needs):
            return False
        return (record['fingerprint'] == self._fingerprint(stage)
                and record['output'] == content_digest(_kind(stage).outputs(stage, self.place)))

    def _fingerprint(self, stage: Stage) -> str:
        needed = {name: self._record(self.place.recipe.stage(name))['output'] for name in stage.needs}
        return stage_fingerprint(stage, self.place, needed)

    def _print_command(self, words: Sequence[str]) -> None:
        self.console.print(shown_command(words), style='cyan', soft_wrap=True, highlight=False, markup=False)


def _kind(stage: Stage) -> StageKind:
    return STAGE_KINDS[stage.kind]


def _read(path: Path) -> Optional[dict]:
    return json.loads(path.read_text(encoding='utf-8')) if path.is_file() else None


def _remove(folder: Path) -> None:
    """Remove a folder so that, if this is interrupted, it is either whole or gone."""
    trash = folder.with_name(f'.{folder.name}.old')
    shutil.rmtree(trash, ignore_errors=True)
    folder.rename(trash)
    shutil.rmtree(trash, ignore_errors=True)


@contextmanager
def _lock(folder: Path) -> Iterator[int]:
    """Keep others from running the recipe in the same folder, also while commands of a killed run go on.

    Raises:
        RecipeError: Somebody does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / '.lock', 'w') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RecipeError(f'a recipe is running in {folder}: wait for it or end it') from error
        yield file.fileno()
