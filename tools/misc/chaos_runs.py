"""Kill and resume the runs of a tool, and compare what they leave."""

import contextlib
import multiprocessing
import os
import random
import runpy
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch
from rich.console import Console

from mmwsss.checkpoints import read_checkpoint
from mmwsss.datasets.map_files import read_label_map
from mmwsss.utils import file_hash

REPO = Path(__file__).resolve().parents[2]
MAX_KILLS = 5
"""int: After so many kills, a run is left to finish."""

PATIENCE = 600
"""int: Seconds after which a run counts as hanging."""

EXIT_CODES = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGKILL: -9}
SIGNS_OF_LIFE = (' - mmengine - ', '  device     ', 'pseudo labels')
"""tuple: What tools print once they have begun."""



@dataclass
class Case:
    """A command that is killed and resumed.

    Attributes:
        name (str): A key of :data:`SHARES`.
        command (Callable): Returns the command for an output folder, first the tool, relative to the repository.
        compare (Callable): Returns in which respects two output folders differ.
        resume (list[str]): What is added to the command to resume.
    """

    name: str
    command: Callable[[Path], list]
    compare: Callable[[Path, Path], list]
    resume: list = field(default_factory=list)


class Process:
    """A running tool: a fork of this process, which has imported everything, or a new process for shell scripts.

    Args:
        command (list): The tool and its arguments.
        log (Path): File to which its output is appended.
    """

    def __init__(self, command: list, log: Path) -> None:
        self._command, self._log = [str(REPO / command[0]), *map(str, command[1:])], log
        self._began = log.stat().st_size if log.exists() else 0
        if command[0].endswith('.sh'):
            with open(log, 'a', encoding='utf-8') as output:
                self._process: Any = subprocess.Popen(['bash', *self._command], stdout=output, stderr=output,
                                                      start_new_session=True)
        else:
            self._process = multiprocessing.get_context('fork').Process(target=self._run)
            self._process.start()
        self.pid = self._process.pid

    def wait(self, seconds: float) -> Optional[int]:
        """Return the exit code, or None if it is still running after this time."""
        if isinstance(self._process, subprocess.Popen):
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self._process.wait(seconds)
            return None
        self._process.join(seconds)
        return self._process.exitcode

    def output(self) -> str:
        """Return what it has printed."""
        with open(self._log, 'rb') as file:
            file.seek(self._began)
            return file.read().decode(errors='replace')

    def _run(self) -> None:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with open(self._log, 'a', encoding='utf-8') as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        sys.argv = self._command
        runpy.run_path(self._command[0], run_name='__main__')


class Chaos:
    """Kill, resume and compare.

    Args:
        folder (Path): Where everything happens.
        rng (random.Random): Decides when and how processes are killed.
    """

    def __init__(self, folder: Path, rng: random.Random, console: Console) -> None:
        self.folder, self.rng, self.console = folder, rng, console
        self._process: Optional[Process] = None

    def run(self, case: Case, kills: int) -> Iterator[dict[str, Any]]:
        """Kill runs of a case until there were so many kills, and compare each result with the undisturbed one.

        Yields:
            dict: What was found up to now, after each comparison.
        """
        began, log = time.monotonic(), self.folder / f'{case.name}.log'
        whole, found = self.folder / f'{case.name}_whole', Counter()
        code = self._finish(case, whole, log, [])
        duration = time.monotonic() - began
        if code != 0:
            raise RuntimeError(f'the undisturbed run of {case.name} ended with {code}: see {log}')
        rounds, differences, codes, wrong = 0, [], Counter(), []
        while found.total() < kills:
            out = self.folder / f'{case.name}_{rounds}'
            number = min(kills - found.total(), self.rng.randint(1, MAX_KILLS))
            flags = self._disturb(case, out, log, number, duration, (found, codes, wrong))
            code = self._finish(case, out, log, flags)
            rounds += 1
            unlike = case.compare(whole, out) if code == 0 else [f'ended with {code}']
            differences += [f'round {rounds}: {text}' for text in unlike]
            if not unlike:
                shutil.rmtree(out)
            self.console.print(f'{case.name}: {found.total()} of {kills} kills, {rounds} rounds, '
                               f'{unlike if unlike else "equal"}')
            yield dict(kills=found.total(), signals=dict(found), exit_codes=dict(codes), rounds=rounds,
                       equal=rounds - len({text.split(':')[0] for text in differences}), differences=differences,
                       wrong_ends=wrong, seconds=round(time.monotonic() - began))

    def close(self) -> None:
        """End the process that still runs, if any, and all that it has started."""
        if self._process is not None and self._process.wait(0) is None:
            for pid in [self._process.pid, *descendants(self._process.pid)]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _start(self, command: list, log: Path) -> Process:
        self._process = Process(command, log)
        return self._process

    def _disturb(self, case: Case, out: Path, log: Path, number: int, duration: float, counts: tuple) -> list:
        """Start and kill a run up to this many times; return the flags that resume it."""
        found, codes, wrong = counts
        flags: list = []
        while number:
            process = self._start([*case.command(out), *flags], log)
            delay = self.rng.uniform(0, duration)
            flags = case.resume
            if process.wait(delay) is not None:
                break  # done before the signal
            sent = self.rng.choice([signal.SIGKILL] * 4 + [signal.SIGTERM, signal.SIGINT])
            code = self._kill(process, sent)
            if code == 0:
                break  # done just before the signal: no kill
            number -= 1
            found[sent.name] += 1
            codes[str(code)] += 1
            problem = wrong_end(sent, code, process.output())
            if problem:
                wrong.append(f'{case.name}, {sent.name}: {problem}')
        return flags

    def _kill(self, process: Process, sent: signal.Signals) -> int:
        """Send a signal, SIGKILL now and then to all processes of the run; return the exit code when all have ended."""
        others = descendants(process.pid)
        everyone = sent is signal.SIGKILL and self.rng.random() < 0.5
        for pid in [process.pid, *(others if everyone else [])]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sent)
        code = process.wait(PATIENCE)
        end = time.monotonic() + PATIENCE
        while any(map(_is_running, others)) and time.monotonic() < end:
            time.sleep(0.1)
        if code is None or any(map(_is_running, others)):
            raise RuntimeError(f'processes still ran {PATIENCE} s after {sent.name}')
        return code

    def _finish(self, case: Case, out: Path, log: Path, flags: list) -> int:
        process = self._start([*case.command(out), *flags], log)
        code = process.wait(PATIENCE)
        if code is None:
            raise RuntimeError(f'{case.name} did not end within {PATIENCE} s: see {log}')
        return code


def wrong_end(sent: signal.Signals, code: int, output: str) -> str:
    """Return what is wrong with the end of a process, or an empty string.

    A run that a signal reaches before its tool has begun, or after it has ended, cannot answer it.
    """
    if code in (0, -sent) or (sent is signal.SIGINT and output.rstrip().endswith('KeyboardInterrupt')):
        return ''
    if code != EXIT_CODES[sent]:
        return f'exit code {code}: {output[-500:]}'
    lines = [line for line in output.splitlines() if f'stopped by {sent.name}' in line and 'to continue' in line]
    if not lines and not any(sign in output for sign in SIGNS_OF_LIFE):
        return ''  # the launcher has passed the signal on while the processes were importing
    return '' if len(lines) == 1 else f'{len(lines)} lines say how to continue'


def descendants(pid: int) -> list[int]:
    """Return the processes that a process has started, and those that these have started."""
    lines = subprocess.run(['ps', '-e', '-o', 'pid=,ppid='], capture_output=True, text=True, check=True).stdout
    parents = {int(child): int(parent) for child, parent in (line.split() for line in lines.splitlines())}
    found = [pid]
    for _ in parents:
        new = [child for child, parent in parents.items() if parent in found and child not in found]
        if not new:
            break
        found += new
    return found[1:]


def _is_running(pid: int) -> bool:
    state = subprocess.run(['ps', '-o', 'stat=', '-p', str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.strip().startswith('Z')


def same_files(expected: Path, found: Path) -> list[str]:
    """Compare the files of two folders by content; hidden files count."""
    listed = [{str(path.relative_to(root)): path for path in root.rglob('*')
               if path.is_file()} for root in (expected, found)]
    names = sorted(set(listed[0]) ^ set(listed[1]))
    differing = [name for name in sorted(set(listed[0]) & set(listed[1]))
                 if file_hash(listed[0][name]) != file_hash(listed[1][name])]
    return [f'only one has {name}' for name in names] + [f'{name} differs' for name in differing]


def same_training(expected: Path, found: Path) -> list[str]:
    """Compare the last checkpoints of two runs: weights, optimizer and schedules, bit for bit."""
    names = [Path((folder / 'last_checkpoint').read_text()).name for folder in (expected, found)]
    if names[0] != names[1]:
        return [f'the last checkpoints are {names[0]} and {names[1]}']
    states = [read_checkpoint(folder / names[0]) for folder in (expected, found)]
    return [f'{key} of {names[0]} differs' for key in ('state_dict', 'optimizer', 'param_schedulers')
            if not _equal(states[0].get(key), states[1].get(key))]


def _equal(first: Any, second: Any) -> bool:
    if isinstance(first, torch.Tensor):
        return isinstance(second, torch.Tensor) and torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(_equal(first[key], second[key]) for key in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(_equal, first, second))
    return first == second


def same_recipe(expected: Path, found: Path) -> list[str]:
    """Compare the checkpoints of two recipes bit for bit, and the labels pixel by pixel.

    The files of the labels name the file of the checkpoint, which holds the time at which it was saved.
    """
    maps = [{path.name: read_label_map(path) for path in (folder / 'labels/labels').rglob('*.png')}
            for folder in (expected, found)]
    differing = [name for name in sorted(maps[0].keys() | maps[1].keys())
                 if not np.array_equal(maps[0].get(name), maps[1].get(name))]
    return same_training(expected / 'cam', found / 'cam') + [f'{name} differs' for name in differing]
