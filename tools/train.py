#!/usr/bin/env python
"""Train a model: ``python tools/train.py CONFIG``."""

import argparse
from pathlib import Path

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import RUNNERS
from mmengine.runner import Runner, find_latest_checkpoint
from torch import nn

from mmwsss.checkpoints import check_backbone_fit, check_start, read_checkpoint
from mmwsss.datasets import iterations_per_epoch
from mmwsss.datasets.config import data_roots, load_config
from mmwsss.engine import run_length, set_iterations
from mmwsss.engine.hooks import ProgressHook, ResultsHook, RunCheckHook, StopHook
from mmwsss.registry import DATASETS
from mmwsss.utils import first_few
from mmwsss.utils.cli import add_config_arguments, add_run_arguments
from mmwsss.utils.console import describe_processes, notify, print_header
from mmwsss.utils.dist import num_processes, prepare_distributed
from mmwsss.utils.errors import UserError, run_tool
from mmwsss.utils.signals import finish_first


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Train a model')
    add_config_arguments(parser)
    add_run_arguments(parser)
    parser.add_argument(
        '--resume', nargs='?', const='auto', metavar='CHECKPOINT',
        help='continue a run: from this checkpoint or, without one, from the latest in the work dir')
    parser.add_argument(
        '--init-from', metavar='FILE',
        help='start the backbone from this file or URL in place of what the config names; its layout is recognized '
        '(mmwsss, timm, DeiT, DINOv2, MAE, MoCo-v3, AugReg, Conformer, ...)')
    parser.add_argument(
        '--iters', type=int, metavar='N',
        help='train for N iterations; warm-up, decay, training phases and intervals are scaled with the length')
    parser.add_argument('--overwrite', action='store_true',
                        help='start a new run in a work dir that holds checkpoints of another one')
    parser.add_argument('--amp', action='store_true', help='train with automatic mixed precision')
    return parser.parse_args()


def turn_on_amp(cfg: Config) -> None:
    """Replace the optimizer wrapper by that for mixed precision.

    Raises:
        ValueError: The config's optimizer wrapper has no such counterpart, or there is no
            accelerator to run it on.
    """
    kind = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if kind in ('AmpOptimWrapper', 'AutoAmpOptimWrapper'):
        notify('the config trains with mixed precision already')
        return
    if kind != 'OptimWrapper':
        raise ValueError(f"--amp needs optim_wrapper.type='OptimWrapper', the config has {kind!r}")
    if get_device() in ('cpu', 'mps'):
        raise ValueError(f'--amp needs an accelerator, this run is on the {get_device()}: leave --amp out')
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def set_length(cfg: Config, iters: int, processes: int) -> None:
    """Train for another number of iterations, and scale everything that depends on the length of training.

    Args:
        cfg: The run's config, changed in place.
        iters: The number of iterations.
        processes: Number of processes of the run, each with a batch of its own.

    Raises:
        UserError: The number is below 1, or the data have fewer images than a batch.
    """
    loader = cfg.train_dataloader
    images = len(DATASETS.build(loader.dataset))
    per_epoch = iterations_per_epoch(images, loader.batch_size * processes, processes, loader.get('drop_last', False))
    before = run_length(cfg, per_epoch)
    set_iterations(cfg, iters, per_epoch)
    notify(f'the run has {iters:,} iterations in place of {before:,}; schedules, phases and intervals are scaled')


def set_init(cfg: Config, path: str) -> None:
    """Let the backbone start from a file whose layout is recognized.

    Args:
        cfg: The run's config, changed in place.
        path: The file or URL.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: The config's model has no backbone.
    """
    if 'backbone' not in cfg.model:
        raise UserError(f'--init-from needs a model with a backbone; {cfg.model.get("type")} of the config has none')
    if '://' not in path and not Path(path).is_file():
        raise FileNotFoundError(f'--init-from {path} does not exist')
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=f'auto+{path}')


def check_init(model: nn.Module, path: str) -> None:
    """Refuse weights that are not those of the model's backbone, of which some would silently stay random.

    Args:
        model: The run's model.
        path: The file or URL that ``--init-from`` names.

    Raises:
        CheckpointError: A weight is missing, left over or of another shape.
    """
    weights = read_checkpoint(f'auto+{path}')['state_dict']
    check_backbone_fit(getattr(model, 'module', model).backbone, weights, path)


def set_resume(cfg: Config, resume: str) -> None:
    """Choose the checkpoint to resume; without one in the work dir, a new run starts.

    Args:
        cfg: The run's config, changed in place.
        resume: ``'auto'`` or the path of a checkpoint.

    Raises:
        FileNotFoundError: The named checkpoint does not exist.
    """
    if resume != 'auto':
        if not Path(resume).is_file():
            raise FileNotFoundError(f'no checkpoint {resume} to resume from')
        cfg.resume, cfg.load_from = True, resume
        return
    latest = find_latest_checkpoint(cfg.work_dir) if Path(cfg.work_dir).is_dir() else None
    if latest and not Path(latest).is_file():  # the work dir was moved
        latest = str(Path(cfg.work_dir, Path(latest).name))
    if latest and Path(latest).is_file():
        cfg.resume, cfg.load_from = True, latest
    else:
        notify(f'no checkpoint in {cfg.work_dir}, the run starts anew')


def check_work_dir(work_dir: str) -> None:
    """Refuse a work dir in which a new run would overwrite the checkpoints of another run.

    Args:
        work_dir: The folder of the new run, which need not exist.

    Raises:
        UserError: It holds checkpoints of iterations or epochs.
    """
    folder = Path(work_dir)
    found = [path.name for pattern in ('iter_*.pth', 'epoch_*.pth') for path in sorted(folder.glob(pattern))]
    if found:
        raise UserError(f'{work_dir} holds checkpoints of another run: {first_few(found, 3)}. Add --resume to continue '
                        'that run, name another folder by --work-dir, or add --overwrite to start anew in this one')


def main() -> None:
    """Train what the command line describes."""
    args = parse_args()
    cfg = load_config(args)
    if args.amp:
        turn_on_amp(cfg)
    if args.iters is not None:
        set_length(cfg, args.iters, num_processes(args.launcher))
    if args.init_from:
        set_init(cfg, args.init_from)
    if args.resume:
        set_resume(cfg, args.resume)
    if not (cfg.get('resume') or args.overwrite):
        check_work_dir(cfg.work_dir)
    prepare_distributed(cfg, args.launcher)
    print_header(f'training {args.config}', data=data_roots(cfg), output=cfg.work_dir,
                 device=describe_processes(launcher=args.launcher))
    if args.launcher == 'none' and not (cfg.get('resume') or cfg.get('load_from')):
        check_start(cfg.model.get('backbone', {}).get('init_cfg'))
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    if args.init_from:
        check_init(runner.model, args.init_from)
    runner.register_hook(ResultsHook(args.config))
    runner.register_hook(RunCheckHook())
    runner.register_hook(StopHook())
    progress = ProgressHook()
    runner.register_hook(progress)
    with finish_first(), progress:
        runner.train()


if __name__ == '__main__':
    run_tool(main, go_on='Run the same command with --resume to continue')
