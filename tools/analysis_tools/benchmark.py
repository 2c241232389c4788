#!/usr/bin/env python
"""Speed and peak memory of a config, alone or against another one in the same run.

    benchmark.py CONFIG                       training iterations per second
    benchmark.py CONFIG --task cams           images per second of CAM inference
    benchmark.py CONFIG --baseline CONFIG2    both in turns, and the ratio; where they have the same weights, also
                                              how far losses and gradients (or CAMs) are apart

The data is prepared beforehand and is not measured. Without data on disk, generated images go
through the config's own pipeline.
"""

import argparse
import copy
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Optional

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.logging import MessageHub, MMLogger
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.table import Table
from torch import nn

from mmwsss.apis.configs import strip_pretrained
from mmwsss.datasets.config import load_config
from mmwsss.registry import DATASETS, MODELS, TRANSFORMS
from mmwsss.utils import write_json
from mmwsss.utils.cli import add_config_arguments
from mmwsss.utils.errors import run_tool
from mmwsss.utils.memory import peak_memory


class Contestant(NamedTuple):
    """One side of the comparison: its name, model, prepared data, and what is measured."""

    name: str
    model: nn.Module
    data: dict
    step: Callable[[], Any]


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_config_arguments(parser)
    parser.add_argument('--baseline', metavar='CONFIG', help='compare with this config; overrides hold for both')
    parser.add_argument('--task', choices=['train', 'cams'], default='train')
    parser.add_argument('--data', choices=['random', 'real'], default='random',
                        help="generated images, or the first ones of the config's data")
    parser.add_argument('--batch-size', type=int, help="(default: the config's, 1 for cams)")
    parser.add_argument('--image-size', type=int, nargs=2, default=(375, 500), metavar=('H', 'W'),
                        help='of generated images (default: 375 500)')
    parser.add_argument('--labels', type=int, default=2, metavar='N', help='classes per generated image (default: 2)')
    parser.add_argument('--iteration', type=int, help="that training pretends to be in (default: the schedule's last)")
    parser.add_argument('--rounds', type=int, default=5, help='measured; the median counts (default: 5)')
    parser.add_argument('--warmup', type=int, default=1, help='rounds not measured (default: 1)')
    parser.add_argument('--threads', type=int, help="torch's threads")
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--no-memory', action='store_true',
                        help='leave out the peak memory (of tensors made in a round, weights not counted)')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--json', metavar='FILE', help='also write the numbers there')
    return parser.parse_args()


def seed_all(seed: int) -> None:
    """Seed python's, numpy's and torch's generators."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def find_pipeline(dataset: dict) -> list:
    """Return the pipeline of a dataset config, which is that of the outermost wrapper with a pipeline.

    Raises:
        ValueError: There is none.
    """
    node = dataset
    while node:
        if node.get('pipeline'):
            return node['pipeline']
        node = node.get('dataset') or (node.get('datasets') or [None])[0]
    raise ValueError(f'dataset {dataset.get("type")} has no pipeline')


def number_of_classes(model: nn.Module) -> int:
    """Return C, the number of foreground classes of a model."""
    head = getattr(model, 'cam_head', None)
    return head.num_classes if head is not None else model.decode_head.num_classes - 1


def generated_samples(cfg: Config, args: argparse.Namespace, split: str, count: int, num_classes: int) -> list:
    """Send smooth random images with a few labels each through the config's pipeline."""
    pipeline = Compose([TRANSFORMS.build(step) for step in find_pipeline(cfg[f'{split}_dataloader'].dataset)])
    height, width = args.image_size
    samples = []
    with tempfile.TemporaryDirectory() as folder:
        for index in range(count):
            rng = np.random.default_rng([args.seed, index])
            image = cv2.resize(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8), (width, height),
                               interpolation=cv2.INTER_CUBIC)
            labels = rng.permutation(num_classes)[:args.labels]
            mask = cv2.resize(rng.choice([0, *(labels + 1)], (6, 8)).astype(np.uint8), (width, height),
                              interpolation=cv2.INTER_NEAREST)
            paths = {'img_path': str(Path(folder, f'{index}.png')), 'seg_map_path': str(Path(folder, f'{index}_m.png'))}
            cv2.imwrite(paths['img_path'], image)
            cv2.imwrite(paths['seg_map_path'], mask)
            gt_label = np.zeros(num_classes, np.float32)
            gt_label[labels] = 1
            samples.append(pipeline(dict(
                paths, gt_label=gt_label, image_id=str(index), sample_seed=index, sample_idx=index,
                label_map=None, reduce_zero_label=False, seg_fields=[])))
    return samples


def prepare_data(cfg: Config, args: argparse.Namespace, model: nn.Module) -> dict:
    """Return one collated batch, read from the disk or generated."""
    split = 'train' if args.task == 'train' else 'val'
    loader = cfg[f'{split}_dataloader']
    count = args.batch_size or (loader.get('batch_size', 1) if args.task == 'train' else 1)
    seed_all(args.seed)
    if args.data == 'real':
        dataset = DATASETS.build(copy.deepcopy(loader.dataset))
        samples = [dataset[index] for index in range(count)]
    else:
        samples = generated_samples(cfg, args, split, count, number_of_classes(model))
    return pseudo_collate(samples)


def named_configs(config: str, baseline: Optional[str]) -> list[tuple[str, str]]:
    """Return the paths of both configs by short names that differ."""
    if not baseline:
        return [(Path(config).stem, config)]
    names = [Path(config).stem, Path(baseline).stem]
    if names[0] == names[1]:
        names[1] += ' (baseline)'
    return list(zip(names, (config, baseline)))


def contestant(name: str, cfg: Config, args: argparse.Namespace) -> Contestant:
    """Build the model of a config with weights from the seed, and the function to measure."""
    init_default_scope(cfg.get('default_scope', 'mmwsss'))
    strip_pretrained(cfg.model, keep_local=False)
    seed_all(args.seed)
    model = MODELS.build(cfg.model)
    model.init_weights()
    model = model.to(args.device)
    data = prepare_data(cfg, args, model)
    if args.task == 'cams':
        if not hasattr(model, 'predict_cams'):
            raise TypeError(f'{type(model).__name__} of config {name} gives no CAMs')
        model.eval()
        inputs = model.data_preprocessor(copy.deepcopy(data), False)['inputs']
        return Contestant(name, model, data, lambda: model.predict_cams(inputs)['cams'])
    model.train()
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    last = cfg.train_cfg.get('max_iters', 1) - 1 if cfg.get('train_cfg') else 0

    def step() -> dict:
        MessageHub.get_current_instance().update_info('iter', last if args.iteration is None else args.iteration)
        seed_all(args.seed)
        return model.train_step(copy.deepcopy(data), optim_wrapper)

    return Contestant(name, model, data, step)


def measure(sides: list[Contestant], args: argparse.Namespace) -> list[dict]:
    """Measure all sides in turns, so that other load on the machine affects each of them."""
    seconds = {side.name: [] for side in sides}
    for index in range(args.warmup + args.rounds):
        for side in sides:
            synchronize(args.device)
            began = time.perf_counter()
            side.step()
            synchronize(args.device)
            if index >= args.warmup:
                seconds[side.name].append(time.perf_counter() - began)
    rows = []
    for side in sides:
        median = statistics.median(seconds[side.name])
        row = dict(config=side.name, seconds=median, fastest=min(seconds[side.name]), per_second=1 / median,
                   images_per_second=len(side.data['data_samples']) / median)
        if not args.no_memory:
            with peak_memory(args.device) as peak:
                side.step()
            row['peak_mib'] = peak.mib
        rows.append(row)
    return rows


def synchronize(device: str) -> None:
    """Wait for the device, where it works on its own."""
    if torch.device(device).type == 'cuda':
        torch.cuda.synchronize(device)


def differences(one: Contestant, other: Contestant, args: argparse.Namespace) -> dict:
    """Compare what two models of the same weights compute; empty where their weights differ in name or shape.

    Returns:
        dict: For training ``loss`` and ``gradient``, for CAMs ``cams``: the largest absolute difference, relative to
        the largest value of ``one``.
    """
    state = one.model.state_dict()
    own = other.model.state_dict()
    if {name: value.shape for name, value in state.items()} != {name: value.shape for name, value in own.items()}:
        return {}
    other.model.load_state_dict(state)
    if args.task == 'cams':
        return dict(cams=relative(one.step(), other.step()))
    results = []
    for side in (one, other):
        side.model.zero_grad()
        seed_all(args.seed)
        inputs = side.model.data_preprocessor(copy.deepcopy(side.data), True)
        total, _ = side.model.parse_losses(side.model(**inputs, mode='loss'))
        total.backward()
        grads = {name: param.grad for name, param in side.model.named_parameters() if param.grad is not None}
        results.append((total.detach(), grads))
    (loss, grads), (other_loss, other_grads) = results
    worst = max(relative(grads.get(name, torch.zeros(1)), other_grads.get(name, torch.zeros(1)))
                for name in {**grads, **other_grads})
    return dict(loss=relative(loss, other_loss), gradient=worst)


def relative(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the largest absolute difference divided by the largest absolute value."""
    return float((one - other).abs().max() / one.abs().max().clamp_min(1e-12))


def result_table(rows: list[dict], title: str) -> Table:
    """Build the table of results."""
    table = Table(title=title)
    for name in ('config', 'median ms', 'fastest ms', 'per second', 'images/s', 'peak MiB'):
        table.add_column(name, justify='left' if name == 'config' else 'right', overflow='fold')
    for row in rows:
        peak = f'{row["peak_mib"]:.1f}' if 'peak_mib' in row else '-'
        table.add_row(row['config'], f'{row["seconds"] * 1e3:.1f}', f'{row["fastest"] * 1e3:.1f}',
                      f'{row["per_second"]:.3f}', f'{row["images_per_second"]:.3f}', peak)
    return table


def main() -> None:
    """Measure what the command line describes."""
    args = parse_args()
    MMLogger.get_instance('benchmark', log_level='WARNING')  # hide the log of the weights' initialization
    if args.threads:
        torch.set_num_threads(args.threads)
    sides = [contestant(name, load_config(argparse.Namespace(**{**vars(args), 'config': path})), args)
             for name, path in named_configs(args.config, args.baseline)]
    rows = measure(sides, args)
    console = Console()
    batch = len(sides[0].data['data_samples'])
    title = f'{args.task}, batch of {batch}, {args.device}, {torch.get_num_threads()} threads'
    console.print(result_table(rows, title))
    report = dict(task=args.task, batch_size=batch, device=args.device, threads=torch.get_num_threads(), results=rows)
    if args.baseline:
        report['speedup'] = rows[1]['seconds'] / rows[0]['seconds']
        console.print(f'{rows[0]["config"]} is {report["speedup"]:.2f} times as fast as {rows[1]["config"]}')
        if not args.no_memory:
            report['memory_ratio'] = rows[0]['peak_mib'] / rows[1]['peak_mib']
            console.print(f'and needs {report["memory_ratio"]:.2f} times its memory')
        report['differences'] = differences(*sides, args)
        for name, value in report['differences'].items():
            console.print(f'largest relative difference of the {name}: {value:.2e}')
    if args.json:
        write_json(report, args.json)


if __name__ == '__main__':
    run_tool(main)
