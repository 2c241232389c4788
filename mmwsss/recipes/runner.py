"""Run the stages of a recipe: skip finished stages, resume interrupted ones, and write the report."""

from __future__ import annotations

import datetime
import fcntl
import hashlib
import json
import os
import shlex
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Optional

from rich.console import Console

from mmwsss.utils import file_hash, write_json
from mmwsss.utils.commands import relative_path, run_command
from mmwsss.utils.console import is_verbose
from mmwsss.utils.results import RESULTS_FILE
from mmwsss.utils.signals import Stopped

from .config_data import data_files
from .report import write_report
from .schema import STARTED, RecipeContext, RecipeError, Stage
from .stage_output import StageOutput

__all__ = ['RecipeRunner', 'StageError', 'hash_inputs', 'hash_outputs']

RECORD, LOG = 'stage.json', 'stage.log'
NOT_INPUTS = ('name', 'title', 'report', 'short', 'config', 'cfg_options')
"""tuple: Fields of a stage that do not count as inputs; its config and options are part of the merged config."""


class StageError(RecipeError):
    """The command of a stage failed."""

    exit_code = 1


class RecipeRunner:
    """Run the stages of a recipe in their order.

    The folder of a stage, ``<work_dir>/<stage>``, has the outputs of its command and ``stage.log``, what the command
    printed; ``started.json``, with a hash of the inputs; and, after a successful end, ``stage.json`` with the hashes of
    inputs and outputs, results, time and command. A stage is skipped if both hashes are still the same. It resumes if
    it was started with the same inputs. Otherwise its folder is emptied first.

    Args:
        context (RecipeContext): The recipe, its folder, data and tools.
        console (Console): Where progress is printed and, if the tool is verbose, the whole output of the commands.
    """

    def __init__(self, context: RecipeContext, console: Console) -> None:
        self.context = context
        self.console = console

    def run(self, start: Optional[str] = None, only: Sequence[str] = ()) -> list[dict]:
        """Run the stages that are not finished; write the report after each.

        Args:
            start (str, optional): Run this stage and all later ones again, even if they are finished.
            only (Sequence[str]): Names of the stages to run. Defaults to all.

        Returns:
            list[dict]: The content of ``stage.json`` of each finished stage.

        Raises:
            StageError: The command of a stage failed.
            RecipeError: A stage needs one that is not finished, or the folder is in use or has files of others.
        """
        records: list[dict] = []
        with _lock(self.context.work_dir) as lock:
            for stage, again in self._chosen(start, only):
                self._run_stage(stage, again, lock)
                records = self.records()
                write_report(self.context.recipe, records, self.context.work_dir)
        return records

    def preview(self, start: Optional[str] = None, only: Sequence[str] = ()) -> None:
        """Print the stages, whether they are finished, their images, batches, lengths and commands; run nothing."""
        for stage, again in self._chosen(start, only):
            state = 'to do' if again or not self._is_finished(stage) else 'done'
            self.console.print(f'# {stage.name} ({stage.kind}): {state}', style='bold', soft_wrap=True)
            command = stage.command(self.context)  # refuses a batch that the processes cannot share
            for line in stage.details(self.context):
                self.console.print(f'#   {line}', soft_wrap=True, highlight=False, markup=False)
            self._print_command(command)

    def pending(self) -> list[Stage]:
        """Return the stages that are not finished."""
        return [stage for stage in self.context.recipe.stages if not self._is_finished(stage)]

    def records(self) -> list[dict]:
        """Return the content of ``stage.json`` of each finished stage, in the order of the recipe."""
        return [self._record(stage) for stage in self.context.recipe.stages if self._is_finished(stage)]

    def _chosen(self, start: Optional[str], only: Sequence[str]) -> list[tuple[Stage, bool]]:
        """Return the stages to run, each with whether it runs even if it is finished."""
        recipe = self.context.recipe
        for name in [*only, *([start] if start else [])]:
            recipe.stage(name)
        names = [stage.name for stage in recipe.stages]
        first_again = names.index(start) if start else len(names)
        return [(stage, position >= first_again) for position, stage in enumerate(recipe.stages)
                if not only or stage.name in only]

    def _run_stage(self, stage: Stage, again: bool, lock: int) -> None:
        for name in stage.inputs:
            if not self._is_finished(self.context.recipe.stage(name)):
                raise RecipeError(f'stage {stage.name} needs {name}, which is not finished: name it after --only too, '
                                  'or leave --only out')
        if not again and self._is_finished(stage):
            self.console.print(f'[bold]{stage.name}[/]: done', highlight=False)
            return
        self.console.rule(f'[bold]{stage.name}')
        inputs = self._hash_inputs(stage)
        attempt = self._prepare_folder(stage, inputs, again)
        began = time.perf_counter()
        command = stage.command(self.context)
        self._run_command(stage, command, lock)
        seconds = time.perf_counter() - began
        self._write_record(stage, command, inputs, attempt, seconds)
        self._print_end(stage, seconds)

    def _run_command(self, stage: Stage, command: list[str], lock: int) -> None:
        log = self.context.stage_dir(stage) / LOG
        self._print_command(command)
        output = StageOutput(stage.name, self.console)
        try:
            with output:
                stream = self.console.file if is_verbose() else output
                code = run_command(command, log, stream, pass_fds=[lock])
        except Stopped as stop:
            raise Stopped(stop.number, f'in stage {stage.name}') from stop
        if code:
            self._print_failure(log, output.last_lines())
            raise StageError(f'stage {stage.name} failed with exit code {code}; its output is in {relative_path(log)}; '
                             'run the same command again to resume')

    def _print_failure(self, log: Path, last_lines: str) -> None:
        self.console.print(last_lines, soft_wrap=True, highlight=False, markup=False)

    def _print_end(self, stage: Stage, seconds: float) -> None:
        shown = stage.reported(stage.results(self.context))
        results = ''.join(f', {name} {value:.2f}' for name, value in shown.items())
        self.console.print(f'{stage.name}: finished in {datetime.timedelta(seconds=round(seconds))}{results}; log: '
                           f'{relative_path(self.context.stage_dir(stage) / LOG)}', soft_wrap=True, highlight=False,
                           markup=False)

    def _prepare_folder(self, stage: Stage, inputs: str, again: bool) -> int:
        """Prepare the folder of a stage, and return the number of this attempt."""
        folder = self.context.stage_dir(stage)
        started = _read_json(folder / STARTED)
        if folder.is_dir() and any(folder.iterdir()):
            if started is None:
                raise RecipeError(f'{folder} has files that were not made by a recipe: move them, or choose another '
                                  '--out')
            if again or started['inputs'] != inputs:
                _remove_folder(folder)
                started = None
        attempt = 1 + (started or {}).get('attempt', 0)
        write_json({'inputs': inputs, 'attempt': attempt}, folder / STARTED)
        (folder / RECORD).unlink(missing_ok=True)
        return attempt

    def _write_record(self, stage: Stage, command: list[str], inputs: str, attempt: int, seconds: float) -> None:
        context = self.context
        outputs = hash_outputs(stage.output_paths(context))
        if outputs is None:
            missing = ', '.join(map(relative_path, stage.output_paths(context)))
            raise StageError(f'stage {stage.name} ended without an error, but {missing} is missing')
        results, figure = stage.results(context), stage.figure(context)
        write_json({
            'name': stage.name, 'title': stage.title or stage.name, 'kind': stage.kind, 'inputs': inputs,
            'outputs': outputs, 'split': stage.split_name(context) if results else '', 'results': results,
            'seconds': round(seconds, 1), 'attempt': attempt, 'command': shlex.join(command),
            'figure': str(figure.relative_to(context.work_dir)) if figure else None
        }, context.stage_dir(stage) / RECORD)

    def _record(self, stage: Stage) -> Optional[dict]:
        return _read_json(self.context.stage_dir(stage) / RECORD)

    def _is_finished(self, stage: Stage) -> bool:
        """Return whether a stage and all it needs are finished and neither inputs nor outputs have changed since."""
        record = self._record(stage)
        if record is None or not all(self._is_finished(self.context.recipe.stage(name)) for name in stage.inputs):
            return False
        return (record['inputs'] == self._hash_inputs(stage)
                and record['outputs'] == hash_outputs(stage.output_paths(self.context)))

    def _hash_inputs(self, stage: Stage) -> str:
        earlier = {name: self._record(self.context.recipe.stage(name))['outputs'] for name in stage.inputs}
        return hash_inputs(stage, self.context, earlier)

    def _print_command(self, command: Sequence[str]) -> None:
        self.console.print(shlex.join(command), style='cyan', soft_wrap=True, highlight=False, markup=False)


def hash_inputs(stage: Stage, context: RecipeContext, earlier: dict[str, str]) -> str:
    """Return a hash of everything that the outputs of a stage depend on, except the code.

    That is the keys of the stage, its config with all overrides, the content of the lists of images and image labels,
    the data root, and the outputs of the stages that it uses. The number of processes, the output folder, the title
    and the reported metrics do not count.

    Args:
        stage (Stage): The stage.
        context (RecipeContext): The recipe, its folder, data and tools.
        earlier (dict[str, str]): Hashes of the outputs of the stages that it uses, by name.

    Returns:
        str: SHA-256 in hexadecimal.
    """
    described = {entry.name: getattr(stage, entry.name) for entry in fields(stage) if entry.name not in NOT_INPUTS}
    described.update(earlier=earlier, data_root=context.data_root or context.recipe.data_root)
    if context.config_name(stage):
        cfg = context.config(stage)
        described['merged_config'] = cfg.to_dict()
        described['files'] = {str(path): hash_outputs([path]) for path in data_files(cfg)}
    text = json.dumps(described, sort_keys=True, default=str).replace(str(context.work_dir), '{out}')
    return hashlib.sha256(text.encode()).hexdigest()


def hash_outputs(paths: Iterable[Path]) -> Optional[str]:
    """Return a hash of the content of files and folders.

    Hidden files and the ``results.json`` of a folder do not count, nor do the names of the paths themselves.

    Args:
        paths (Iterable[Path]): Files and folders.

    Returns:
        str, optional: SHA-256 in hexadecimal; None if there are no files, or if a path does not exist.
    """
    total, count = hashlib.sha256(), 0
    for path in paths:
        files = sorted(_files_in(path)) if path.is_dir() else [path]
        if not files or not files[0].is_file():
            return None
        for file in files:
            name, status = str(file.relative_to(path)) if file != path else '', file.stat()
            total.update(f'{name}\0{_file_hash(file, status.st_size, status.st_mtime_ns)}\n'.encode())
            count += 1
    return total.hexdigest() if count else None


def _files_in(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names if not name.startswith('.') and name != RESULTS_FILE)


@cache
def _file_hash(path: Path, size: int, modified: int) -> str:
    """Return the hash of a file, computed once for each size and time of modification."""
    return file_hash(path)


def _read_json(path: Path) -> Optional[dict]:
    return json.loads(path.read_text(encoding='utf-8')) if path.is_file() else None


def _remove_folder(folder: Path) -> None:
    """Remove a folder such that an interruption leaves it either complete or gone."""
    trash = folder.with_name(f'.{folder.name}.old')
    shutil.rmtree(trash, ignore_errors=True)
    folder.rename(trash)
    shutil.rmtree(trash, ignore_errors=True)


@contextmanager
def _lock(folder: Path) -> Iterator[int]:
    """Yield the file descriptor of a lock on a folder, which commands inherit and hold if this process is killed.

    Raises:
        RecipeError: Another run uses the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / '.lock', 'w') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RecipeError(f'another recipe is running in {folder}: wait until it ends, or end it') from error
        yield file.fileno()
