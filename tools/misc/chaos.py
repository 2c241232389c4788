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
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

import torch
from chaos_runs import REPO, Case, Chaos, same_files, same_recipe, same_training
from mmengine.logging import MMLogger
from mmengine.runner import Runner  # noqa: F401  # a fork of this process saves the time of imports
from rich.console import Console

from mmwsss.apis import init_model
from mmwsss.recipes import RecipeRunner  # noqa: F401  # likewise
from mmwsss.sample_set import write_sample_set
from mmwsss.utils import claim_folder, seal_folder, write_json, write_lines
from mmwsss.utils.errors import run_tool

PSA = REPO / 'configs/psa/psa_wr38-micro_sample.py'
SHARES = {'training': 40, 'labels': 25, 'walk': 15, 'recipe': 10, 'two-processes': 10}
"""dict: What is killed, and how often of 100 kills."""

QUICK = """
import yapf.yapflib.yapf_api
yapf.yapflib.yapf_api.FormatCode = lambda text, *args, **kwargs: (text, False)
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


def write_inputs(folder: Path) -> None:
    """Write data, configs and models."""
    MMLogger.get_instance('chaos', log_level='ERROR')
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
    recipe = ['tools/run_recipe.py', folder / 'recipe.py', '--gpus', 1, *data]
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
    """Make an empty output folder in place of that of an earlier call; its files stay, to see what differs."""
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
    run_tool(main)
