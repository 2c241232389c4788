#!/usr/bin/env python
"""Try mmwsss with several releases of Python and torch, on both families of MM packages.

    python tools/misc/version_matrix.py --cell 3.11:2.4.1 --cell 3.12:2.6.0 --work-dir work_dirs/versions
    python tools/misc/version_matrix.py --cell 3.13:2.13.0 --family maintained --python-dir ~/.pyenv/versions

Each cell gets an environment of its own. In it, every family is installed, tried and removed again: import, a training
of ToCo on a few sample images that is killed and resumed, pseudo labels, and a test. The environment is removed
afterward, because a torch build for CUDA takes 5 GB. The results are kept in ``results.json`` of the work dir, to which
later calls add, and printed as the table of docs/get_started.md. The original family is tried with mmcv-lite and the
stand-in for mmcv's operators. Only the standard library is needed.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple, Optional

REPO = Path(__file__).resolve().parents[2]
CONFIG = 'configs/toco/toco_vit-micro_sample.py'
FAMILIES = {
    'maintained': ('onedl-mmengine', 'onedl-mmcv', 'onedl-mmsegmentation', 'onedl-mmpretrain'),
    'original': ('mmengine', 'mmcv-lite', 'mmsegmentation', 'mmpretrain'),
}
OPTIONS = ('train_cfg.max_iters=6', 'train_cfg.val_interval=6', 'default_hooks.checkpoint.interval=2',
           'train_dataloader.batch_size=2', 'train_dataloader.num_workers=0',
           'train_dataloader.persistent_workers=False')


class Cell(NamedTuple):
    """A release of Python and one of torch."""

    python: str
    torch: str

    def __str__(self) -> str:
        """Return the cell as on the command line."""
        return f'{self.python}:{self.torch}'


class StepError(Exception):
    """A step of a cell failed; the message is the last line of what it printed."""


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--cell', action='append', type=parse_cell, default=[], metavar='PYTHON:TORCH')
    parser.add_argument('--family', action='append', choices=FAMILIES, help='default: both')
    parser.add_argument('--work-dir', type=Path, default=REPO / 'work_dirs/versions')
    parser.add_argument('--python-dir', type=Path, help='folder with one installation of Python for each release, as '
                                                        'pyenv makes; default: python3.x on the PATH')
    parser.add_argument('--keep', action='store_true', help='keep the environments')
    return parser.parse_args()


def parse_cell(text: str) -> Cell:
    """Read ``PYTHON:TORCH``."""
    if not re.fullmatch(r'3\.\d+:\d+\.\d+\.\d+', text):
        raise argparse.ArgumentTypeError(f'{text!r} is not of the form PYTHON:TORCH, such as 3.11:2.4.1')
    return Cell(*text.split(':'))


def find_python(release: str, folder: Optional[Path]) -> str:
    """Return a Python of a release, or raise StepError."""
    found = sorted(folder.glob(f'{release}.*/bin/python')) if folder else [shutil.which(f'python{release}')]
    if not found or not found[-1]:
        raise StepError(f'no Python {release} on this machine')
    return str(found[-1])


def run(command: list, log: Path) -> None:
    """Run a command from the checkout, add its output to a log, and raise StepError with its last line if it fails."""
    env = {**os.environ, 'PYTHONPATH': str(REPO), 'OMP_NUM_THREADS': '1'}
    with log.open('a', encoding='utf-8') as stream:
        stream.write(f'\n$ {" ".join(map(str, command))}\n')
        stream.flush()
        status = subprocess.run([str(part) for part in command], cwd=REPO, env=env, stdout=stream,
                                stderr=subprocess.STDOUT, check=False).returncode
    if status:
        lines = [line for line in log.read_text(encoding='utf-8').splitlines() if line.strip()]
        raise StepError(next((line for line in reversed(lines) if re.match(r'\w*(Error|ERROR)', line)), lines[-1]))


def train_and_kill(command: list, work_dir: Path, log: Path) -> None:
    """Start a training and kill it as soon as there is a checkpoint."""
    env = {**os.environ, 'PYTHONPATH': str(REPO), 'OMP_NUM_THREADS': '1'}
    with log.open('a', encoding='utf-8') as stream:
        process = subprocess.Popen([str(part) for part in command], cwd=REPO, env=env, stdout=stream,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        while process.poll() is None and not (work_dir / 'last_checkpoint').exists():
            time.sleep(0.05)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def install_torch(cell: Cell, python: Path, log: Path) -> None:
    """Install the torch of a cell."""
    run([python, '-m', 'pip', 'install', '-q', '--no-cache-dir', f'torch=={cell.torch}', 'setuptools<81', 'wheel'], log)


def family_requirements(family: str, cell: Cell) -> list[str]:
    """Return what pip is asked to install for a family beside torch."""
    suffix = '_original' if family == 'original' else ''
    lines = (REPO / f'requirements/mminstall{suffix}.txt').read_text(encoding='utf-8').splitlines()
    lines = [re.sub('^mmcv(?!-)', 'mmcv-lite', line) for line in lines if line and not line.startswith('#')]
    old = tuple(map(int, cell.torch.split('.')[:2])) < (2, 3)
    return [*lines, f'torch=={cell.torch}', *(['numpy<2'] if old else []), '-r', 'requirements/runtime.txt']


def try_family(family: str, cell: Cell, python: Path, folder: Path) -> str:
    """Install a family, run all steps, and return ``'works'`` or the step that failed with the reason."""
    log = folder / 'log.txt'
    data, run_dir = folder / 'data', folder / 'run'
    train = [python, 'tools/train.py', CONFIG, '--work-dir', run_dir, '--data-root', data, '--cfg-options', *OPTIONS]
    last, data_flags = run_dir / 'iter_6.pth', ['--data-root', data]
    pip = [python, '-m', 'pip', 'install', '-q', '--prefer-binary']
    steps = {
        'install': lambda: run([*pip, *family_requirements(family, cell)], log),
        'import': lambda: run([python, '-c', 'import mmwsss.apis, mmwsss.engine; mmwsss.check_stack()'], log),
        'sample set': lambda: run([python, 'tools/dataset_converters/make_sample.py', data, '--num-train', 8,
                                   '--num-val', 4, '--nproc', 1], log),
        'training, killed': lambda: train_and_kill(train, run_dir, log),
        'training, resumed': lambda: run([*train[:3], '--resume', *train[3:]], log),
        'pseudo labels': lambda: run([python, 'tools/make_pseudo_labels.py', CONFIG, last, '--out-dir',
                                      folder / 'labels', '--post', 'par', *data_flags], log),
        'test': lambda: run([python, 'tools/test.py', CONFIG, last, '--work-dir', folder / 'test', *data_flags], log),
    }
    for name, step in steps.items():
        try:
            step()
        except StepError as error:
            return f'fails at {name}: {error}'
    return 'works'


def try_cell(cell: Cell, args: argparse.Namespace) -> dict[str, str]:
    """Try a cell on each family; return the results by family."""
    families = args.family or list(FAMILIES)
    folder = args.work_dir / str(cell).replace(':', '_')
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    python = folder / 'venv/bin/python'
    results = {}
    try:
        run([find_python(cell.python, args.python_dir), '-m', 'venv', folder / 'venv'], folder / 'log.txt')
        install_torch(cell, python, folder / 'log.txt')
        for family in families:
            (folder / family).mkdir()
            results[family] = try_family(family, cell, python, folder / family)
            run([python, '-m', 'pip', 'uninstall', '-q', '-y', *FAMILIES[family]], folder / family / 'log.txt')
    except StepError as error:
        results = {family: results.get(family, f'not tried: {error}') for family in families}
    finally:
        if not args.keep:
            shutil.rmtree(folder / 'venv', ignore_errors=True)
    return results


def version_key(text: str) -> tuple[int, ...]:
    """Sort releases by number."""
    return tuple(map(int, text.split('.')))


def print_table(results: dict[str, dict[str, str]]) -> None:
    """Print the results as a Markdown table."""
    print('| torch | Python | maintained | original |\n|---|---|---|---|')
    for cell in sorted(map(parse_cell, results), key=lambda cell: (version_key(cell.torch), version_key(cell.python))):
        found = results[str(cell)]
        print(f'| {cell.torch} | {cell.python} | {found.get("maintained", "")} | {found.get("original", "")} |')


def main() -> None:
    """Try the cells, keep the results after each, and print all."""
    args = parse_args()
    args.work_dir.mkdir(parents=True, exist_ok=True)
    path = args.work_dir / 'results.json'
    results = json.loads(path.read_text(encoding='utf-8')) if path.is_file() else {}
    for cell in args.cell:
        began = time.monotonic()
        results.setdefault(str(cell), {}).update(try_cell(cell, args))
        path.write_text(json.dumps(results, indent=2), encoding='utf-8')
        print(f'{cell}: {results[str(cell)]} ({time.monotonic() - began:.0f} s)', file=sys.stderr)
    print_table(results)


if __name__ == '__main__':
    main()
