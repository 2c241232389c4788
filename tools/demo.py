#!/usr/bin/env python
"""From image tags to masks on the sample set, with a report: ``python tools/demo.py``.

Each step is an ordinary command, which is printed. An interrupted demo resumes.
"""

import argparse
import shlex
import shutil
import sys
import time
from pathlib import Path

import numpy as np
from mmengine.fileio import list_from_file
from PIL import Image
from rich.console import Console
from rich.table import Table

from mmwsss.utils import atomic_path
from mmwsss.utils.cli import add_verbose_argument
from mmwsss.utils.commands import ToolCommands, cfg_options_arguments, default_num_processes, run_command
from mmwsss.utils.errors import run_tool
from mmwsss.utils.results import RESULTS_FILE, read_results, write_results

REPO = Path(__file__).resolve().parents[1]
PLAIN, TOCO = 'configs/toco/plain_vit-micro_sample.py', 'configs/toco/toco_vit-micro_sample.py'
SHORT_IMAGES = 16
SHORT_TRAINING = {
    'train_cfg.max_iters': 4, 'train_cfg.val_interval': 4, 'default_hooks.checkpoint.interval': 4,
    'default_hooks.logger.interval': 1
}
SHORT_PHASES = {'model.train_cfg.phases.1.begin': 1, 'model.train_cfg.phases.2.begin': 2}
NO_VALIDATION = {'train_cfg.val_begin': 10**6}
"""dict: For ToCo, which is tested on the same images right after its training."""


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Train and evaluate ToCo on the generated sample set')
    parser.add_argument('--out', default='work_dirs/demo', help='folder for checkpoints, labels, pictures and report')
    parser.add_argument('--data', help='folder for the sample set (default: data/sample, or in the output if --short)')
    parser.add_argument('--short', action='store_true', help='a few images and iterations, to see that all of it runs')
    add_verbose_argument(parser)
    return parser.parse_args()


class Steps:
    """Run and print commands, and record how long each takes."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.rows: list[tuple[str, str, float]] = []

    def run(self, name: str, command: list[str]) -> None:
        """Run a command; a failure ends the demo."""
        self.console.rule(f'[bold]{name}')
        self.console.print(shlex.join(command), style='cyan', soft_wrap=True)
        began = time.perf_counter()
        code = run_command(command)
        if code:
            sys.exit(f'{name} failed with exit code {code}; the command is printed above')
        self.rows.append((name, shlex.join(command), time.perf_counter() - began))


def all_background(data: Path) -> float:
    """Return the mIoU in percent on the validation masks if every pixel is predicted as background."""
    background = valid = 0
    for name in list_from_file(str(data / 'ImageSets/Segmentation/val.txt')):
        mask = np.asarray(Image.open(data / f'SegmentationClass/{name}.png'))
        background += int((mask == 0).sum())
        valid += int((mask != 255).sum())
    return 100 * background / valid / len(list_from_file(str(data / 'classes.txt')))


def report(out: Path, results: list[tuple[str, float]], sheet: Path, steps: Steps) -> None:
    """Print the table of results and write ``report.md``, ``results.json`` and ``pictures.png``."""
    table = Table(title='sample val, mIoU in percent')
    table.add_column('what')
    table.add_column('mIoU', justify='right')
    lines = ['# Sample set, val', '', '| what | mIoU |', '|---|---:|']
    for name, value in results:
        table.add_row(name, f'{value:.2f}')
        lines.append(f'| {name} | {value:.2f} |')
    lines += ['', '![image, CAM, pseudo label, prediction, truth](pictures.png)', '', '| step | seconds | command |',
              '|---|---:|---|']
    lines += [f'| {name} | {seconds:.0f} | `{command}` |' for name, command, seconds in steps.rows]
    with atomic_path(out / 'report.md') as path:
        Path(path).write_text('\n'.join(lines) + '\n')
    write_results(out / RESULTS_FILE, 'demo.py', dict(results), TOCO)
    with atomic_path(out / 'pictures.png') as path:
        shutil.copyfile(sheet, path)
    steps.console.print(table)
    total = sum(seconds for _, _, seconds in steps.rows)
    steps.console.print(f'{total / 60:.1f} minutes. Report: {out / "report.md"}, pictures: {out / "pictures.png"}')


def main() -> None:
    """Run the steps."""
    args = parse_args()
    out = Path(args.out).resolve()
    data = Path(args.data or (out / 'sample' if args.short else 'data/sample')).resolve()
    steps, tools = Steps(Console()), ToolCommands(REPO, default_num_processes())
    options = {**tools.batch_size_options(8), **(SHORT_TRAINING if args.short else {})}
    phases = SHORT_PHASES if args.short else {}
    shared = ['--resume', '--data-root', data]
    size = ['--num-train', SHORT_IMAGES, '--num-val', SHORT_IMAGES] if args.short else []
    steps.run('sample data', tools.command('dataset_converters/make_sample.py', data, flags=size))
    for name, config, folder, extra in (('plain CAM', PLAIN, 'plain', {}),
                                        ('ToCo', TOCO, 'toco', {**NO_VALIDATION, **phases})):
        flags = ['--work-dir', out / folder, *shared, *cfg_options_arguments({**options, **extra})]
        steps.run(name, tools.command('train.py', config, flags=flags, distributed=True))
    checkpoint = (out / 'toco/last_checkpoint').read_text().strip()
    steps.run('test', tools.command('test.py', TOCO, checkpoint, flags=[
        '--work-dir', out / 'test', '--out', out / 'predictions', '--data-root', data], distributed=True))
    steps.run('pseudo labels', tools.command('make_pseudo_labels.py', TOCO, checkpoint, flags=[
        '--out-dir', out / 'pseudo_labels', '--post', 'par', '--overwrite', '--data-root', data], distributed=True))
    steps.run('pseudo label quality', tools.command('eval_pseudo_labels.py', flags=[
        '--gt-dir', data / 'SegmentationClass', '--split', data / 'ImageSets/Segmentation/train.txt', '--label-dir',
        out / 'pseudo_labels', '--classes', data / 'classes.txt', '--json', out / 'pseudo_labels.json']))
    plain, toco = (read_results(out / name / RESULTS_FILE)['metrics'] for name in ('plain', 'test'))
    results = [('all background', all_background(data)), ('plain CAM', plain['cam/mIoU']),
               ('ToCo CAM', toco['cam/mIoU']), ('ToCo segmentation', toco['seg/mIoU'])]
    sheet = max((out / 'test').rglob('*.png'), key=lambda path: path.stat().st_mtime)
    report(out, results, sheet, steps)


if __name__ == '__main__':
    run_tool(main)
