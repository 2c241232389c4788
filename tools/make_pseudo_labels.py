#!/usr/bin/env python
"""Write pseudo labels of a data set: ``python tools/make_pseudo_labels.py CONFIG CHECKPOINT --out-dir DIR``."""

import argparse
import os
import sys
from pathlib import Path
from typing import Union

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
    LabelSettings,
    LabelSummary,
    PseudoLabelError,
    checkpoint_hash,
    config_hash,
    init_model,
    labelled_images,
    make_pseudo_labels,
)
from mmwsss.apis.label_settings import POSTS
from mmwsss.datasets.config import load_config
from mmwsss.models.refiners.dense_crf import CRF_PRESETS
from mmwsss.utils.cli import add_config_arguments
from mmwsss.utils.dist import prepare_distributed
from mmwsss.utils.results import RESULTS_FILE, write_results


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Write pseudo labels of a data set from image labels and class activation maps. Finished '
        'files are kept: the same command goes on after an interruption.')
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out-dir', required=True, metavar='DIR', help='folder for the label maps')
    parser.add_argument('--split', default='train', metavar='S',
                        help='train, val or test: the images of that dataloader of the config; or a text file '
                        'with an image id per line (default: train)')
    parser.add_argument('--threshold', type=float, metavar='T',
                        help="background score (default: the config's model.test_cfg.threshold; of a random walk, "
                        "where there is none, its background_alpha)")
    parser.add_argument('--high', type=float, metavar='T',
                        help='a second background score, which foreground must exceed; between the two, '
                        'pixels are 255')
    parser.add_argument('--source', choices=['cams', 'segmentation'],
                        help="what is labelled: class activation maps, or a segmentor's probabilities (default: what "
                        'the model has, class activation maps first)')
    parser.add_argument('--post', choices=POSTS, default='none',
                        help='refine the maps by pixel-adaptive refinement or a dense CRF, or the thresholded labels '
                        'by a dense CRF; or let maps that were saved earlier (--cams) walk along the affinities of an '
                        'AffinityNet, whose config and checkpoint are given, without or with a CRF of the labels '
                        'after it')
    parser.add_argument('--cams', metavar='DIR',
                        help='for a random walk: the folder of labels made with --save-cams, or one of class maps of '
                        'another code base')
    parser.add_argument('--crf-preset', choices=sorted(CRF_PRESETS), metavar='NAME',
                        help="published setting of the CRF (default: the config's model.test_cfg."
                        'pseudo_label_crf, or else mctformer_cam, of label-crf weaktr_label_voc, of '
                        'random-walk-crf transcam_label): '
                        f'{", ".join(sorted(CRF_PRESETS))}')
    parser.add_argument('--crf-stride', type=int, default=1, metavar='N',
                        help='run the CRF at one Nth of the size of the image, for speed; an approximation (default: '
                        '1)')
    maps = parser.add_argument_group('class maps', 'none are written unless asked for; present classes only')
    maps.add_argument('--save-cams', action='store_true', help='write the class maps, into cams/')
    maps.add_argument('--crf-alphas', type=float, nargs='+', metavar='A',
                      help='write dense CRF marginals of the maps beside a background of (1 - max)^A, into crf_A/, for '
                      'training an AffinityNet; published: 1 12')
    maps.add_argument('--cam-stride', type=_stride, default=1, metavar='N',
                      help="store them at one Nth of the size of the image, or 'tokens': one value per patch "
                      '(default: 1)')
    maps.add_argument('--cam-format', choices=['npz', 'npy'], default='npz',
                      help='npz: compressed half precision; npy: the pickled dictionaries other code bases read, a '
                      'multiple of the size (default: npz)')
    parser.add_argument('--workers', type=int, metavar='N',
                        help='processes that run the CRF beside the network, per rank (default: the number of '
                        'cores less one with a CRF, else 0)')
    parser.add_argument('--device', help='such as cpu or cuda:1 (default: the GPU if there is one)')
    parser.add_argument('--overwrite', action='store_true',
                        help='remove labels in the folder that were made with other settings')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none',
                        help='what started the processes of this run')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by the launcher')
    return parser.parse_args()


def _stride(text: str) -> Union[int, str]:
    return text if text == 'tokens' else int(text)


def read_settings(args: argparse.Namespace, cfg: Config) -> LabelSettings:
    """Collect from command line and config how maps become labels."""
    return LabelSettings.from_config(
        cfg.model.get('test_cfg'), threshold=args.threshold, high=args.high, post=args.post, crf=args.crf_preset,
        save_cams=args.save_cams, crf_alphas=args.crf_alphas, cam_stride=args.cam_stride, cam_format=args.cam_format,
        crf_stride=args.crf_stride, source=args.source)


def provenance(cfg: Config, checkpoint: str) -> dict:
    """Identify the model that makes the labels: config and weights by content, not by name."""
    weights = checkpoint if '://' in checkpoint else checkpoint_hash(checkpoint)
    return {'model': config_hash(cfg), 'checkpoint': weights}


def print_summary(summary: LabelSummary, classes: list, out_dir: str) -> None:
    """Print the table of results."""
    table = Table()
    for heading in ('class', 'images', 'pixels'):
        table.add_column(heading, justify='left' if heading == 'class' else 'right')
    total = max(int(summary.pixels.sum()), 1)
    for value, name in [*enumerate(['background', *classes]), (255, 'ignored')]:
        table.add_row(name, str(summary.images[value]), f'{100 * summary.pixels[value] / total:.2f} %')
    console = Console()
    console.print(table)
    console.print(f'{summary.num_written + summary.num_kept} label maps in {out_dir}: {summary.num_written} made in '
                  f'{summary.seconds:.1f} s, {summary.num_kept} were there', soft_wrap=True)


def write_summary(summary: LabelSummary, classes: list, args: argparse.Namespace) -> None:
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
    settings = read_settings(args, cfg)
    if '://' not in args.checkpoint and not Path(args.checkpoint).is_file():
        raise FileNotFoundError(f'no checkpoint {args.checkpoint}')
    prepare_distributed(cfg, args.launcher)
    if args.launcher != 'none' and not distributed.is_initialized():
        init_dist(args.launcher, **cfg.get('env_cfg', {}).get('dist_cfg', {}))
    MMLogger.get_instance('mmwsss', log_level='INFO' if is_main_process() else 'ERROR')
    init_default_scope(cfg.get('default_scope', 'mmwsss'))
    images = labelled_images(cfg, args.split)
    model = init_model(cfg, args.checkpoint, args.device or get_device())
    workers = args.workers
    if workers is None:
        workers = max((os.cpu_count() or 1) - 1, 1) if settings.runs_crf else 0
    summary = make_pseudo_labels(model, images, args.out_dir, settings, provenance(cfg, args.checkpoint),
                                 workers, args.overwrite, cams=args.cams)
    if is_main_process():
        print_summary(summary, images.classes, args.out_dir)
        write_summary(summary, images.classes, args)


if __name__ == '__main__':
    try:
        main()
    except (ValueError, OSError, PseudoLabelError) as error:  # anything else keeps its traceback
        sys.exit(f'{type(error).__name__}: {error}')
