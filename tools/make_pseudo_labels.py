#!/usr/bin/env python
"""Write pseudo labels of a data set: ``python tools/make_pseudo_labels.py CONFIG CHECKPOINT --out-dir DIR``."""

import argparse
import os
from pathlib import Path
from typing import Any, Optional, Union

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import init_dist, is_main_process
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.table import Table
from torch import distributed

from mmwsss.apis import (
    PseudoLabelSummary,
    Shard,
    checkpoint_hash,
    config_hash,
    expand_short_forms,
    init_model,
    labelled_images,
    make_pseudo_labels,
    read_label_cfg,
)
from mmwsss.checkpoints import local_path, require_checkpoint
from mmwsss.datasets import data_paths
from mmwsss.datasets.config import data_roots, load_config
from mmwsss.models.label_steps import CRF_PRESETS
from mmwsss.pseudo_labels.label_cfg import POSTS, uses_workers
from mmwsss.utils.cli import add_amp_argument, add_config_arguments, threshold_argument
from mmwsss.utils.console import describe_processes, print_header
from mmwsss.utils.dist import prepare_distributed
from mmwsss.utils.errors import run_tool
from mmwsss.utils.results import RESULTS_FILE, write_results

SHORT_FORMS = ('threshold', 'high', 'source', 'post', 'cams', 'crf_preset', 'crf_stride', 'save_cams', 'crf_alphas',
               'cam_stride', 'cam_format', 'first_key')
"""tuple: Flags that stand for parts of ``label_cfg``."""


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Write pseudo labels of a data set from image labels and class activation maps. Finished '
        'files are kept: the same command resumes after an interruption.')
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out-dir', required=True, metavar='DIR', help='folder for the label maps')
    parser.add_argument('--split', default='train', metavar='S',
                        help='train, val or test: the images of that dataloader of the config; or a text file '
                        'with an image id per line (default: train)')
    parser.add_argument('--label-cfg', metavar='FILE',
                        help='config file whose label_cfg lists the steps from CAMs to labels, such as those in '
                        'configs/_base_/label_cfgs; in place of the short forms')
    _add_short_forms(parser)
    parser.add_argument('--workers', type=int, metavar='N',
                        help='processes that run the CRF beside the network, per rank (default: the number of '
                        'cores less one with a CRF, else 0)')
    parser.add_argument('--device', help='such as cpu or cuda:1 (default: the GPU if there is one)')
    parser.add_argument('--shard', type=_shard, metavar='I/N',
                        help='label every Nth image only, from the Ith on: one of N runs, 1/N to N/N, which may fill '
                        'the same folder at the same time, on any machines that share it. At the end, the same '
                        'command without --shard makes what is missing and writes the summary')
    add_amp_argument(parser)
    parser.add_argument('--overwrite', action='store_true',
                        help='remove labels in the folder that were made with other settings')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none',
                        help='what started the processes of this run')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by the launcher')
    return parser.parse_args()


def _add_short_forms(parser: argparse.ArgumentParser) -> None:
    """Add the flags that are expanded to a ``label_cfg``."""
    short = parser.add_argument_group('short forms of label_cfg')
    short.add_argument('--threshold', type=threshold_argument, metavar='T',
                       help='background score, or the file of suggest_threshold.py (default: the '
                       "config's model.test_cfg.threshold; of a random walk, where there is none, its "
                       'background_alpha)')
    short.add_argument('--high', type=float, metavar='T',
                       help='a second background score, which foreground must exceed; between the two, '
                       'pixels are 255')
    short.add_argument('--source', choices=['cams', 'segmentation'],
                       help="what is labeled: class activation maps, or a segmentor's probabilities (default: what "
                       'the model has, class activation maps first)')
    short.add_argument('--post', choices=list(POSTS),
                       help='refine the maps by pixel-adaptive refinement or a dense CRF, or the thresholded labels '
                       'by a dense CRF; or let maps walk along the affinities of an AffinityNet, without or with a CRF '
                       'of the labels after it (default: none)')
    short.add_argument('--cams', metavar='DIR',
                       help='label CAMs that were saved earlier: the folder of labels made with --save-cams, or '
                       'one of CAMs of another code base. For a random walk, config and checkpoint are those of '
                       'the AffinityNet')
    short.add_argument('--first-key', type=int, choices=[0, 1],
                       help='key of the first class in the .npy files of --cams: 1 if key 0 is the background '
                       '(default: 0, unless the image labels contradict it)')
    short.add_argument('--crf-preset', choices=sorted(CRF_PRESETS), metavar='NAME',
                       help="published setting of the CRF (default: the config's model.test_cfg."
                       'pseudo_label_crf, or else mctformer_cam, of label-crf weaktr_label_voc, of '
                       'random-walk-crf transcam_label): '
                       f'{", ".join(sorted(CRF_PRESETS))}')
    short.add_argument('--crf-stride', type=int, metavar='N',
                       help='run the CRF at one Nth of the size of the image, for speed; an approximation (default: '
                       '1)')
    maps = parser.add_argument_group('short forms: CAMs', 'none are written unless asked for; present classes '
                                     'only')
    maps.add_argument('--save-cams', action='store_true', default=None, help='write the CAMs, into cams/')
    maps.add_argument('--crf-alphas', type=float, nargs='+', metavar='A',
                      help='write dense CRF marginals of the maps beside a background of (1 - max)^A, into crf_A/, for '
                      'training an AffinityNet; published: 1 12')
    maps.add_argument('--cam-stride', type=_stride, metavar='N',
                      help="store them at one Nth of the size of the image, or 'tokens': one value per patch "
                      '(default: 1)')
    maps.add_argument('--cam-format', choices=['npz', 'npy'],
                      help='npz: compressed half precision; npy: the pickled dictionaries other code bases read, a '
                      'multiple of the size (default: npz)')


def _stride(text: str) -> Union[int, str]:
    return text if text == 'tokens' else int(text)


def _shard(text: str) -> Shard:
    try:
        return Shard.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(error) from error


def find_label_cfg(args: argparse.Namespace, cfg: Config) -> dict:
    """Read or expand the ``label_cfg`` that the command line describes.

    Raises:
        ValueError: A file and short forms are both given, or a setting is wrong.
    """
    given = {name: getattr(args, name) for name in SHORT_FORMS if getattr(args, name) is not None}
    if args.label_cfg:
        if given:
            flags = ', '.join(f'--{name.replace("_", "-")}' for name in given)
            raise ValueError(f'--label-cfg says all of it: leave out {flags}, or change the file')
        return read_label_cfg(args.label_cfg)
    given['crf'] = given.pop('crf_preset', None)
    return expand_short_forms(cfg.model.get('test_cfg'), **given)


def provenance(cfg: Config, checkpoint: str) -> dict:
    """Identify the model that makes the labels: config and weights by content, not by name."""
    weights = checkpoint if '://' in checkpoint else checkpoint_hash(local_path(checkpoint))
    return {'model': config_hash(cfg), 'checkpoint': weights}


def format_label_cfg(label_cfg: dict) -> str:
    """Format a ``label_cfg`` as a config file has it, a step a line."""
    lines = ['label_cfg = dict(']
    for key, value in label_cfg.items():
        if isinstance(value, list) and value:
            lines += [f'    {key}=[', *(f'        {_call(step)},' for step in value), '    ],']
        elif key == 'outputs':
            nodes = [f'        {name}={_call(node)},' for name, node in value.items()]
            lines += ['    outputs=dict(', *nodes, '    ),']
        else:
            lines.append(f'    {key}={_call(value)},')
    return '\n'.join([*lines, ')'])


def _call(value: Any) -> str:
    if isinstance(value, dict):
        return f'dict({", ".join(f"{key}={_call(item)}" for key, item in value.items())})'
    return f'[{", ".join(map(_call, value))}]' if isinstance(value, (list, tuple)) else repr(value)


def print_summary(summary: PseudoLabelSummary, classes: list, out_dir: str, shard: Optional[Shard]) -> None:
    """Print the table of results."""
    table = Table()
    for heading in ('class', 'images', 'pixels'):
        table.add_column(heading, justify='left' if heading == 'class' else 'right')
    total = max(int(summary.pixels.sum()), 1)
    for value, name in [*enumerate(['background', *classes]), (255, 'ignored')]:
        table.add_row(name, str(summary.images[value]), f'{100 * summary.pixels[value] / total:.2f} %')
    console = Console()
    console.print(table)
    part = f' of shard {shard}' if shard else ''
    console.print(f'{summary.num_written + summary.num_kept} label maps{part} in {out_dir}: {summary.num_written} made '
                  f'in {summary.seconds:.1f} s, {summary.num_kept} were there', soft_wrap=True)
    if shard:
        console.print('When all shards have ended, run the same command without --shard: it makes what is missing and '
                      f'writes {RESULTS_FILE}', soft_wrap=True)


def write_summary(summary: PseudoLabelSummary, classes: list, args: argparse.Namespace) -> None:
    """Write ``results.json`` into the folder of labels: shares of pixels in percent, and counts for each class."""
    shares = 100 * summary.pixels / max(int(summary.pixels.sum()), 1)
    counts = {name: {'images': summary.images[value], 'pixels': summary.pixels[value]}
              for value, name in enumerate(['background', *classes])}
    write_results(Path(args.out_dir, RESULTS_FILE), 'make_pseudo_labels.py',
                  {'pseudo/background_pixels': shares[0], 'pseudo/ignored_pixels': shares[255]}, args.config,
                  args.checkpoint, num_images=summary.num_written + summary.num_kept, classes=counts)


def main() -> None:
    """Write what the command line describes."""
    args = parse_args()
    cfg = load_config(args)
    label_cfg = find_label_cfg(args, cfg)
    require_checkpoint(args.checkpoint)
    prepare_distributed(cfg, args.launcher)
    if args.launcher != 'none' and not distributed.is_initialized():
        init_dist(args.launcher, **cfg.get('env_cfg', {}).get('dist_cfg', {}))
    MMLogger.get_instance('mmwsss', log_level='INFO' if is_main_process() else 'ERROR')
    print_header(f'pseudo labels of {args.config}', checkpoint=args.checkpoint, data=data_roots(cfg),
                 output=args.out_dir, device=describe_processes(args.device, args.launcher))
    init_default_scope(cfg.get('default_scope', 'mmwsss'))
    images = labelled_images(cfg, args.split)
    model = init_model(cfg, args.checkpoint, args.device or get_device())
    workers = args.workers
    if workers is None:
        workers = max((os.cpu_count() or 1) - 1, 1) if uses_workers(label_cfg) else 0
    if is_main_process():
        print(format_label_cfg(label_cfg), flush=True)
    inputs = [args.checkpoint, args.config, args.label_cfg, args.split, args.label_file, args.classes, *data_paths(cfg)]
    summary = make_pseudo_labels(model, images, args.out_dir, label_cfg, provenance(cfg, args.checkpoint),
                                 workers, args.overwrite, inputs=inputs, shard=args.shard, amp=args.amp)
    if is_main_process():
        print_summary(summary, images.classes, args.out_dir, args.shard)
    if is_main_process() and args.shard is None:
        write_summary(summary, images.classes, args)


if __name__ == '__main__':
    run_tool(main)
