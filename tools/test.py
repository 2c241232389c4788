#!/usr/bin/env python
"""Evaluate a checkpoint: ``python tools/test.py CONFIG CHECKPOINT``.

On test data without masks, it predicts, writes and draws without metrics.
"""

import argparse
from pathlib import Path

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from mmseg.evaluation import IoUMetric
from torch import nn

from mmwsss.checkpoints import read_checkpoint, require_checkpoint
from mmwsss.datasets import data_paths, foreground_classes, keep_images
from mmwsss.datasets.class_names import is_background
from mmwsss.datasets.config import data_roots, load_config, replace_pipelines
from mmwsss.datasets.prediction import lacks_masks, predict_only
from mmwsss.engine.hooks import ProgressHook, RunCheckHook, StopHook
from mmwsss.models import backbone_precision, check_precision
from mmwsss.registry import METRICS
from mmwsss.utils import claim_folder, seal_folder
from mmwsss.utils.cli import add_amp_argument, add_config_arguments, add_run_arguments
from mmwsss.utils.console import describe_processes, print_facts, print_header
from mmwsss.utils.dist import prepare_distributed
from mmwsss.utils.errors import run_tool
from mmwsss.utils.results import RESULTS_FILE, write_results
from mmwsss.utils.signals import finish_first


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Evaluate a model')
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file')
    add_run_arguments(parser)
    parser.add_argument('--out', metavar='DIR',
                        help='write the predicted label maps there, as PNG: a new folder, or that of an earlier call')
    parser.add_argument('--show', action='store_true', help='show the predictions in a window')
    parser.add_argument('--show-dir', metavar='DIR',
                        help='draw the predictions there (in a folder named by the time of the run)')
    parser.add_argument('--wait-time', type=float, default=2, metavar='SECONDS',
                        help='how long --show shows each image')
    parser.add_argument('--tta', action='store_true',
                        help="test-time augmentation, by the config's tta_model and tta_pipeline")
    add_amp_argument(parser)
    return parser.parse_args()


def turn_on_drawing(cfg: Config, show: bool, show_dir: str, wait_time: float) -> None:
    """Make the visualization hook draw every test image.

    Raises:
        ValueError: The config has no visualization hook or no visualizer.
    """
    hook = cfg.get('default_hooks', {}).get('visualization')
    if hook is None or not cfg.get('visualizer'):
        raise ValueError('--show and --show-dir need default_hooks.visualization and a visualizer in '
                         f'the config; {cfg.filename} has hooks {sorted(cfg.get("default_hooks", {}))}')
    hook.update(draw=True, interval=1)
    if show:
        hook.update(show=True, wait_time=wait_time)
    if show_dir:
        cfg.visualizer['save_dir'] = show_dir


def turn_on_tta(cfg: Config) -> None:
    """Wrap the model into the config's test-time augmentation.

    Raises:
        ValueError: The config defines none.
    """
    missing = [key for key in ('tta_model', 'tta_pipeline') if not cfg.get(key)]
    if missing:
        raise ValueError(f'--tta needs {" and ".join(missing)} in the config {cfg.filename}')
    replace_pipelines(cfg.test_dataloader.dataset, keep_images(cfg.tta_pipeline))
    cfg.model = dict(cfg.tta_model, module=cfg.model)
    # Test-time augmentation gives no class activation maps, so their metrics are left out.
    cfg.test_evaluator = cfg.get('tta_evaluator', cfg.test_evaluator)


def write_predictions(cfg: Config, out: str) -> None:
    """Let the segmentation metric of the test evaluator write what was predicted to ``out``."""
    Path(out).mkdir(parents=True, exist_ok=True)  # every process; the metric makes it in one of them only
    metrics = cfg.test_evaluator if isinstance(cfg.test_evaluator, (list, tuple)) else [cfg.test_evaluator]
    writers = [metric for metric in metrics if issubclass(METRICS.get(metric.get('type', '')) or object, IoUMetric)]
    if not writers:
        writers = [dict(type='mmseg.IoUMetric', format_only=True)]
        metrics = [*metrics, *writers]
    writers[0]['output_dir'] = out
    cfg.test_evaluator = list(metrics)


def checkpoint_classes(path: str) -> tuple[str, ...]:
    """Return the foreground classes that a checkpoint was trained for; empty if it does not say."""
    meta = read_checkpoint(path).get('meta') or {}
    names = (meta.get('dataset_meta') or {}).get('classes')
    return foreground_classes(names) if names and is_background(names[0]) else ()


def innermost_model(model: nn.Module) -> nn.Module:
    """Return the model inside of those that wrap it for several processes and for test-time augmentation."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


def main() -> None:
    """Evaluate what the command line describes."""
    args = parse_args()
    require_checkpoint(args.checkpoint)
    cfg = load_config(args, test_only=True)
    cfg.load_from = args.checkpoint
    if args.show or args.show_dir:
        turn_on_drawing(cfg, args.show, args.show_dir, args.wait_time)
    if args.tta:
        turn_on_tta(cfg)
    if lacks_masks(cfg):
        predict_only(cfg, checkpoint_classes(args.checkpoint))
    if args.out:
        claim_folder(args.out, [args.checkpoint, args.config, args.classes, args.label_file, *data_paths(cfg)], '--out')
        write_predictions(cfg, args.out)
    prepare_distributed(cfg, args.launcher)
    print_header(f'testing {args.config}', checkpoint=args.checkpoint, data=data_roots(cfg, 'test'),
                 output=args.out or cfg.work_dir, device=describe_processes(launcher=args.launcher))
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    check_precision(args.amp, get_device())
    runner.register_hook(RunCheckHook())
    runner.register_hook(StopHook())
    progress = ProgressHook()
    runner.register_hook(progress)
    try:
        with backbone_precision(innermost_model(runner.model), args.amp), finish_first(), progress:
            metrics = runner.test()
    finally:
        if args.out and is_main_process():
            seal_folder(args.out)
    if is_main_process():
        results = Path(cfg.work_dir, RESULTS_FILE)
        details = {'amp': args.amp} if args.amp else {}
        write_results(results, 'test.py', metrics, args.config, args.checkpoint, tta=args.tta, **details)
        print_facts(results=results)


if __name__ == '__main__':
    run_tool(main)
