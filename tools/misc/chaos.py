#!/usr/bin/env python
"""Kill runs at random moments, resume them, and compare them with undisturbed runs: ``python tools/misc/chaos.py``.

Works on the generated sample set with micro models, in a folder of its own. Two thirds of the runs are killed with
SIGKILL; the others get SIGTERM or SIGINT, which must end with one line and exit code 143 or 130. A run that was ended
is started again with the same command (with ``--resume`` for training) until it is done. Its checkpoint or its files
must then equal those of the undisturbed run to the last bit. The exit code is 0 if everything was equal, else 1.
"""

import argparse
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

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

import torch
from mmengine.runner import Runner  # noqa: F401  # a fork of this process saves the time of imports
from rich.console import Console

from mmwsss.apis import init_model
from mmwsss.checkpoints import read_checkpoint
from mmwsss.recipes import RecipeRunner  # noqa: F401  # likewise
from mmwsss.sample_set import write_sample_set
from mmwsss.utils import claim_folder, file_hash, seal_folder, write_json, write_lines
from mmwsss.utils.errors import run_tool

REPO = Path(__file__).resolve().parents[2]
PSA = REPO / 'configs/psa/psa_wr38-micro_sample.py'
SHARES = {'training': 40, 'labels': 25, 'walk': 15, 'recipe': 10, 'two-processes': 10}
"""dict: What is killed, and how often of 100 kills."""

MAX_KILLS = 5
"""int: After so many kills, a run is left to finish."""

PATIENCE = 600
"""int: Seconds after which a run counts as hanging."""

EXIT_CODES = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGKILL: -9}
VOLATILE = ('started.json', 'stage.json', 'stage.log', 'report.md', 'report.html', 'results.json', '.lock')
"""tuple: Files of a recipe that hold times."""

QUICK = """
import mmengine.config.config
mmengine.config.config.FormatCode = lambda text, *args, **kwargs: (text, False)
"""
"""str: A module that leaves the config text of checkpoints as it is; its layout takes longer than the training."""

BY_EPOCH = """
_base_ = '{repo}/configs/cam/cam_vit-micro_sample.py'
train_dataloader = dict(batch_size=2, num_workers=1)
val_dataloader = dict(num_workers=0)
test_dataloader = dict(num_workers=0)
default_hooks = dict(visualization=dict(num_images=0), checkpoint=dict(interval=1))
custom_imports = dict(imports=['chaos_quick'])
log_level = 'ERROR'
model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=32, num_layers=2, num_heads=2, feedforward_channels=64), init_cfg=None),
    cam_head=dict(in_channels=32),
    test_cfg=dict(cams=dict(scales=(1.0, ))))
train_cfg = dict(max_epochs=2, val_interval=2)
"""
BY_ITERATION = """
_base_ = './by_epoch.py'
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=8, val_interval=8)
train_dataloader = dict(sampler=dict(_delete_=True, type='IterationSampler', shuffle=True))
param_scheduler = [dict(type='WarmupPolyLR', by_epoch=False, warmup=2)]
log_processor = dict(by_epoch=False)
default_hooks = dict(
    logger=dict(log_metric_by_epoch=False), checkpoint=dict(by_epoch=False, interval=3, max_keep_ckpts=2))
"""
RECIPE = """
title = 'Chaos'
data_root = '{folder}/data'
stages = [
    dict(name='cam', kind='train', config='{folder}/by_epoch.py'),
    dict(name='labels', kind='pseudo-labels', checkpoint='cam', args=['--workers', 0]),
    dict(name='quality', kind='evaluate-labels', labels='labels')
]
"""


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
            number -= 1
            found[sent.name] += 1
            codes[str(code)] += 1
            problem = _wrong_end(sent, code, process.output())
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


def _wrong_end(sent: signal.Signals, code: int, output: str) -> str:
    """Return what is wrong with the end of a process, or an empty string.

    A run that a signal reaches before its tool has begun, or after it has ended, cannot answer it.
    """
    if code in (0, -sent) or (sent is signal.SIGINT and output.rstrip().endswith('KeyboardInterrupt')):
        return ''
    if code != EXIT_CODES[sent]:
        return f'exit code {code}: {output[-500:]}'
    lines = [line for line in output.splitlines() if f'stopped by {sent.name}' in line and 'to continue' in line]
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


def same_files(expected: Path, found: Path, leave_out: tuple = ()) -> list[str]:
    """Compare the files of two folders by content; hidden files count, files named in ``leave_out`` do not."""
    listed = [{str(path.relative_to(root)): path for path in root.rglob('*')
               if path.is_file() and path.name not in leave_out} for root in (expected, found)]
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
    """Compare the checkpoints of two recipes bit for bit, and the labels file by file."""
    labels = [folder / 'labels/labels' for folder in (expected, found)]
    return same_training(expected / 'cam', found / 'cam') + same_files(*labels, leave_out=VOLATILE)


def write_inputs(folder: Path) -> None:
    """Write data, configs and models."""
    data = folder / 'data'
    write_sample_set(data, num_train=12, num_val=3, nproc=1)
    for name, text in (('by_epoch', BY_EPOCH), ('by_iteration', BY_ITERATION), ('recipe', RECIPE),
                       ('chaos_quick', QUICK)):
        (folder / f'{name}.py').write_text(text.replace('{folder}', str(folder)).replace('{repo}', str(REPO)))
    write_lines((data / 'ImageSets/Segmentation/train.txt').read_text().split()[:6], folder / 'walk.txt')
    for name, config in (('cam', folder / 'by_epoch.py'), ('psa', PSA)):
        torch.manual_seed(0)
        torch.save(dict(state_dict=init_model(config).state_dict()), folder / f'{name}.pth')


def make_cases(folder: Path) -> dict[str, Case]:
    """Return the cases by name."""
    data, cams = ['--data-root', folder / 'data'], folder / 'labels_whole'
    make, train = 'tools/make_pseudo_labels.py', [folder / 'by_iteration.py']
    labels = [make, folder / 'by_epoch.py', folder / 'cam.pth', *data, '--workers', 0, '--post', 'par', '--save-cams']
    walk = [make, PSA, folder / 'psa.pth', *data, '--workers', 0, '--post', 'random-walk', '--split',
            folder / 'walk.txt', '--cams', cams]
    recipe = ['tools/run_recipe.py', folder / 'recipe.py', '--gpus', 1]
    cases = [
        Case('training', lambda out: ['tools/train.py', *train, *data, '--work-dir', out], same_training, ['--resume']),
        Case('labels', lambda out: [*labels, '--out-dir', out], same_files),
        Case('walk', lambda out: [*walk, '--out-dir', out], same_files),
        Case('recipe', lambda out: [*recipe, '--out', out], same_recipe),
        Case('two-processes', lambda out: ['tools/dist_train.sh', *train, 2, *data, '--work-dir', out], same_training,
             ['--resume'])
    ]
    return {case.name: case for case in cases}


def shares(kills: int, what: list[str]) -> dict[str, int]:
    """Divide the kills among the cases in the proportions of :data:`SHARES`, largest remainders first."""
    total = sum(SHARES[name] for name in what)
    exact = {name: kills * SHARES[name] / total for name in what}
    counts = {name: int(value) for name, value in exact.items()}
    for name in sorted(what, key=lambda name: counts[name] - exact[name])[:kills - sum(counts.values())]:
        counts[name] += 1
    return counts


@contextlib.contextmanager
def own_folder(out: Optional[str]) -> Iterator[Path]:
    """Give an empty folder; what is in it is ours and stays, for a look at what differs."""
    folder = Path(out or 'work_dirs/chaos').resolve()
    claim_folder(folder, [], '--out')
    if folder.is_dir():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        seal_folder(folder)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Kill runs at random moments, resume them, and compare the results')
    parser.add_argument('--kills', type=int, default=100, metavar='N', help='kills in all (default: 100)')
    parser.add_argument('--seed', type=int, default=0, help='decides when and how processes are killed')
    parser.add_argument('--what', default=','.join(SHARES), metavar='A,B',
                        help=f'what is killed (default: {",".join(SHARES)})')
    parser.add_argument('--out', metavar='DIR', help='a new folder, or that of an earlier call, which is emptied '
                        '(default: work_dirs/chaos); it gets chaos.json and the logs')
    return parser.parse_args()


def read_what(text: str, kills: int) -> list[str]:
    """Read ``--what``."""
    names = [name for name in text.split(',') if name]
    unknown = [name for name in names if name not in SHARES]
    if unknown or not names or kills < 1:
        raise ValueError(f'--what takes {", ".join(SHARES)}, and --kills a positive number; got '
                         f'{text!r} and {kills}')
    if 'walk' in names and 'labels' not in names:
        raise ValueError('the walk needs the CAMs of the labels: add labels to --what')
    return names


def main() -> int:
    """Run all cases, write ``chaos.json`` after each comparison, and return whether anything differed."""
    args, console = parse_args(), Console()
    what = read_what(args.what, args.kills)
    os.environ.update(PYTHON=sys.executable, PYTHONWARNINGS='ignore', OMP_NUM_THREADS='1')
    os.environ['PYTHONPATH'] = os.pathsep.join(filter(None, [str(REPO), os.environ.get('PYTHONPATH')]))
    torch.set_num_threads(1)
    results: dict[str, Any] = {}
    with own_folder(args.out) as folder:
        os.environ['PYTHONPATH'] += f'{os.pathsep}{folder}'
        sys.path.append(str(folder))
        writer = multiprocessing.get_context('fork').Process(target=write_inputs, args=(folder, ))
        writer.start()
        writer.join()  # in a process of its own: what it leaves behind would be part of every fork
        cases = make_cases(folder)
        for name, kills in shares(args.kills, what).items():
            with contextlib.closing(Chaos(folder, random.Random(f'{args.seed} {name}'), console)) as chaos:
                for found in chaos.run(cases[name], kills):
                    results[name] = found
                    total = sum(entry['kills'] for entry in results.values())
                    write_json(dict(seed=args.seed, kills=total, cases=results), folder / 'chaos.json')
    bad = [text for entry in results.values() for text in entry['differences'] + entry['wrong_ends']]
    console.print('\n'.join(bad) or f'{args.kills} kills: all results are equal to the last bit. {folder}/chaos.json')
    return 1 if bad else 0


if __name__ == '__main__':
    run_tool(main, (ValueError, ))
