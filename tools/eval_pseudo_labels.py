#!/usr/bin/env python
"""Evaluate pseudo labels or CAMs: ``python tools/eval_pseudo_labels.py --gt-dir G --split S --label-dir L``."""

import argparse
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

import numpy as np
from rich.console import Console
from rich.progress import track

from mmwsss.analysis import plot_class_iou, plot_rates_over_thresholds
from mmwsss.datasets import read_class_names, read_ids
from mmwsss.datasets.coco import read_mask_as_category_ids
from mmwsss.evaluation import (
    MAX_THRESHOLDS,
    EvaluationResult,
    evaluate_cam_folder,
    evaluate_label_folder,
    published_thresholds,
)
from mmwsss.utils.errors import run_tool
from mmwsss.utils.results import write_results


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Per-class IoU, false-positive and false-negative rates, precision and recall of pseudo labels, '
        'or of CAMs at many thresholds.')
    parser.add_argument('--gt-dir', required=True, metavar='G', help='folder of masks, <id>.png')
    parser.add_argument('--split', required=True, metavar='S', help='text file with an image id per line')
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument('--label-dir', metavar='L', help='folder of label maps, <id>.png')
    source.add_argument('--cam-dir', metavar='C', help='folder of CAMs: <id>.npz as make_pseudo_labels.py '
                        'writes them, or <id>.npy with a dictionary')
    grid = parser.add_mutually_exclusive_group()
    grid.add_argument('--thresholds', type=parse_thresholds, default='0:0.6:0.01', metavar='A:B:STEP',
                      help='background scores for --cam-dir, both ends included (default: 0:0.6:0.01)')
    grid.add_argument('--published-sweep', action='store_const', dest='thresholds',
                      const=published_thresholds().tolist(),
                      help='the background scores of the scripts that MCTformer, WeakTr and TransCAM publish: '
                      '0 to 0.59 in steps of 0.01; those of MCTformer and WeakTr also choose as with --stop-early')
    parser.add_argument('--stop-early', action='store_true',
                        help='choose as best threshold the last one before the first that does not improve the mIoU, '
                        'as some published evaluations do; the others are still evaluated')
    parser.add_argument('--threshold', type=float, metavar='T',
                        help='the fixed background score for --cam-dir; without it only the best one, chosen by '
                        'the masks, is shown')
    parser.add_argument('--first-key', type=int, choices=[0, 1],
                        help='key of the first foreground class in .npy dictionaries: 0, or 1 if key 0 is the '
                        'background (default: 0, unless the masks contradict it)')
    classes = parser.add_mutually_exclusive_group()
    classes.add_argument('--num-classes', type=int, metavar='K', help='number of classes with background')
    classes.add_argument('--classes', metavar='F', help='text or JSON file with the foreground classes (default: '
                         'classes.txt beside the folder of masks)')
    parser.add_argument('--category-ids', action='store_true',
                        help="the labels or CAMs hold COCO's category ids (1 to 90), as WeakTr's configs for COCO make "
                        'them, and the masks the 80 classes, as coco2014.py writes them; needs --num-classes 91')
    parser.add_argument('--ignore-index', type=int, default=255, help='mask value that does not count (default: 255)')
    parser.add_argument('--undecided', choices=['wrong', 'skip'], default='wrong',
                        help='how pixels count that a label map leaves at the ignored value: as missed, or not at all')
    parser.add_argument('--json', metavar='F', help='write all numbers there')
    parser.add_argument('--plot', metavar='F', help='draw a figure there: .png, .pdf or .svg')
    return parser.parse_args()


def parse_thresholds(text: str) -> list[float]:
    """Turn ``start:stop:step`` into a grid with both ends, free of accumulated rounding."""
    match = re.fullmatch(r'([^:]+):([^:]+):([^:]+)', text)
    try:
        start, stop, step = map(float, match.groups())
        count = round((stop - start) / step)
    except (AttributeError, ValueError, ArithmeticError) as error:
        raise argparse.ArgumentTypeError(f'expected start:stop:step such as 0:0.6:0.01, got {text!r}') from error
    if not (0 < step < np.inf and 0 <= start <= stop <= 1):
        raise argparse.ArgumentTypeError(f'thresholds must ascend within [0, 1], got {text!r}')
    if count >= MAX_THRESHOLDS:
        raise argparse.ArgumentTypeError(f'{text!r} asks for {count + 1:,} thresholds, at most {MAX_THRESHOLDS:,} are '
                                         'evaluated: take a larger step')
    grid = np.round(start + step * np.arange(count + 1), 10)
    return grid[grid <= stop + 1e-9].tolist()


def class_names(args: argparse.Namespace) -> list[str]:
    """Return the names of all classes, background first.

    Raises:
        ValueError: The command line names none, and there is no ``classes.txt``.
    """
    if args.category_ids and args.num_classes != 91:
        raise ValueError(f'--category-ids needs --num-classes 91, got {args.num_classes}')
    if args.num_classes:
        return ['background', *(f'class {i}' for i in range(1, args.num_classes))]
    path = args.classes or Path(args.gt_dir).resolve().parent / 'classes.txt'
    if not args.classes and not path.is_file():
        raise ValueError(f'no classes: give --num-classes or --classes, there is no {path}')
    return ['background', *read_class_names(path)]


def evaluate(args: argparse.Namespace, classes: Sequence[str]) -> EvaluationResult:
    """Evaluate the folder, with a progress bar."""
    ids = read_ids(args.split)
    ticks = iter(track(range(len(ids)), 'images', console=Console(stderr=True)))
    options = {'classes': classes, 'ignore_index': args.ignore_index, 'advance': partial(next, ticks, None)}
    if args.category_ids:
        options['read_mask'] = read_mask_as_category_ids
    if args.label_dir:
        result = evaluate_label_folder(args.label_dir, args.gt_dir, ids, undecided=args.undecided, **options)
    else:
        fixed = [] if args.threshold is None else [args.threshold]
        grid = np.union1d(args.thresholds, fixed)
        result = evaluate_cam_folder(args.cam_dir, args.gt_dir, ids, thresholds=grid, first_key=args.first_key,
                                     **options)
    next(ticks, None)
    return result


def print_result(result: EvaluationResult, args: argparse.Namespace) -> dict[str, float]:
    """Print tables, metrics and notes; return the metrics, named ``pseudo/...``."""
    console = Console()
    if result.thresholds is None:
        undecided = result.details['undecided']
        console.print(result.to_table(title=f'{args.label_dir}: {undecided:.2f} % of the pixels undecided'))
        metrics = {**result.metrics(), 'undecided': undecided}
    else:
        best = result.best(args.stop_early, among=args.thresholds)
        if args.threshold is not None:
            console.print(result.to_table(args.threshold, f'threshold {args.threshold:g}, fixed'))
        console.print(result.to_table(best, f'threshold {best:g}: oracle, the best by the masks'))
        metrics = result.metrics(args.threshold, oracle=best)
    named = {f'pseudo/{name}': value if name.endswith('threshold') else round(value, 2)
             for name, value in metrics.items()}
    console.print('  '.join(f'{name}: {value:g}' for name, value in named.items()), soft_wrap=True)
    for note in result.notes:
        console.print(f'Note: {note}', style='yellow', highlight=False, soft_wrap=True)
    return named


def plot(result: EvaluationResult, metrics: dict[str, float], path: str) -> None:
    """Draw mIoU, FP and FN over the threshold, or the IoU of each class of label maps."""
    if result.thresholds is None:
        plot_class_iou(result.per_class()['IoU'], result.metrics()['mIoU'], path)
        return
    marks = {'fixed': metrics.get('pseudo/threshold'), 'oracle': metrics['pseudo/oracle_threshold']}
    marks = {text: threshold for text, threshold in marks.items() if threshold is not None}
    plot_rates_over_thresholds(result.means, marks, path)


def main() -> None:
    """Evaluate what the command line describes."""
    args = parse_args()
    classes = class_names(args)
    result = evaluate(args, classes)
    metrics = print_result(result, args)
    if args.json:
        settings = {key: value for key, value in vars(args).items() if key not in ('json', 'plot', 'thresholds')}
        write_results(args.json, 'eval_pseudo_labels.py', metrics, settings=settings, **result.to_dict())
    if args.plot:
        plot(result, metrics, args.plot)


if __name__ == '__main__':
    run_tool(main)
