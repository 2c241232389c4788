#!/usr/bin/env python
"""Evaluate pseudo labels or class maps: ``python tools/eval_pseudo_labels.py --gt-dir G --split S --label-dir L``."""

import argparse
import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Optional

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mmwsss.datasets import read_class_names, read_ids
from mmwsss.evaluation import best_threshold, evaluate_cam_folder, evaluate_label_folder
from mmwsss.utils import atomic_path
from mmwsss.utils.results import write_results

COLUMNS = {'IoU': 'IoU', 'FP': 'class_FP', 'FN': 'class_FN', 'precision': 'precision', 'recall': 'recall'}
MEANS = {'mIoU': 'mIoU', 'FP': 'FP', 'FN': 'FN', 'precision': 'mPrecision', 'recall': 'mRecall'}


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Per-class IoU, false-positive and false-negative rates, precision and recall of pseudo labels, '
        'or of class maps at many thresholds.')
    parser.add_argument('--gt-dir', required=True, metavar='G', help='folder of masks, <id>.png')
    parser.add_argument('--split', required=True, metavar='S', help='text file with an image id per line')
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument('--label-dir', metavar='L', help='folder of label maps, <id>.png')
    source.add_argument('--cam-dir', metavar='C', help='folder of class maps: <id>.npz as make_pseudo_labels.py '
                        'writes them, or <id>.npy with a dictionary')
    parser.add_argument('--thresholds', type=parse_thresholds, default='0:0.6:0.01', metavar='A:B:STEP',
                        help='background scores for --cam-dir, both ends included (default: 0:0.6:0.01)')
    parser.add_argument('--stop-early', action='store_true',
                        help='take for the best threshold the last one before the first that does not improve, as some '
                        'published evaluations do; the others are evaluated nevertheless')
    parser.add_argument('--threshold', type=float, metavar='T',
                        help='the fixed background score for --cam-dir; without it only the best one, chosen by '
                        'the masks, is shown')
    parser.add_argument('--first-key', type=int, choices=[0, 1], default=0,
                        help='key of the first foreground class in .npy dictionaries; 1 where 0 is the background')
    classes = parser.add_mutually_exclusive_group()
    classes.add_argument('--num-classes', type=int, metavar='K', help='number of classes with background')
    classes.add_argument('--classes', metavar='F', help='text or JSON file with the foreground classes (default: '
                         'classes.txt beside the folder of masks)')
    parser.add_argument('--ignore-index', type=int, default=255, help='mask value that does not count (default: 255)')
    parser.add_argument('--undecided', choices=['wrong', 'skip'], default='wrong',
                        help='what pixels are that a label map leaves at the ignored value: missed, or not counted')
    parser.add_argument('--json', metavar='F', help='write all numbers there')
    parser.add_argument('--plot', metavar='F', help='draw a plot there: .png, .pdf or .svg')
    return parser.parse_args()


def parse_thresholds(text: str) -> list[float]:
    """Turn ``start:stop:step`` into a grid with both ends, free of accumulated rounding."""
    match = re.fullmatch(r'([^:]+):([^:]+):([^:]+)', text)
    try:
        start, stop, step = map(float, match.groups())
        count = round((stop - start) / step)
        grid = np.round(start + step * np.arange(count + 1), 10)
    except (AttributeError, ValueError, ZeroDivisionError) as error:
        raise argparse.ArgumentTypeError(f'expected start:stop:step such as 0:0.6:0.01, got {text!r}') from error
    if step <= 0 or not 0 <= start <= stop <= 1:
        raise argparse.ArgumentTypeError(f'thresholds must ascend within [0, 1], got {text!r}')
    return grid[grid <= stop + 1e-9].tolist()


def class_names(args: argparse.Namespace) -> list[str]:
    """All classes, background first.

    Raises:
        ValueError: The command line names none, and there is no ``classes.txt``.
    """
    if args.num_classes:
        return ['background', *(f'class {i}' for i in range(1, args.num_classes))]
    path = args.classes or Path(args.gt_dir).resolve().parent / 'classes.txt'
    if not args.classes and not path.is_file():
        raise ValueError(f'no classes: give --num-classes or --classes, there is no {path}')
    return ['background', *read_class_names(path)]


def evaluate(args: argparse.Namespace, classes: Sequence[str]) -> dict:
    """Evaluate the folder, with a progress bar."""
    ids = read_ids(args.split)
    ticks = iter(track(range(len(ids)), 'images', console=Console(stderr=True)))
    options = {'num_classes': len(classes), 'ignore_index': args.ignore_index, 'advance': partial(next, ticks, None)}
    if args.label_dir:
        found = evaluate_label_folder(args.label_dir, args.gt_dir, ids, undecided=args.undecided, **options)
    else:
        fixed = [] if args.threshold is None else [args.threshold]
        grid = np.union1d(args.thresholds, fixed)
        found = evaluate_cam_folder(args.cam_dir, args.gt_dir, ids, thresholds=grid, first_key=args.first_key,
                                    **options)
    next(ticks, None)
    return {**found, 'num_images': len(ids)}


def at_index(found: dict, index: Optional[int]) -> dict:
    """The numbers of one threshold; all of them where there are none."""
    if index is None:
        return found
    return {key: value[index] if isinstance(value, np.ndarray) else value for key, value in found.items()}


def print_table(numbers: dict, classes: Sequence[str], title: str) -> None:
    """Print the per-class numbers and their means."""
    table = Table(title=title, title_justify='left')
    for heading in ('class', *COLUMNS):
        table.add_column(heading, justify='left' if heading == 'class' else 'right')
    for index, name in enumerate(classes):
        table.add_row(name, *(_cell(numbers[key][index]) for key in COLUMNS.values()),
                      end_section=index == len(classes) - 1)
    table.add_row('mean', *(_cell(numbers[key]) for key in MEANS.values()))
    Console().print(table)


def _cell(value: float) -> str:
    return f'{value:.2f}' if np.isfinite(value) else '-'


def metrics(found: dict, fixed: Optional[int], best: Optional[int]) -> dict:
    """The means by name, ``pseudo/...``; those whose threshold the masks chose say ``oracle``."""
    def means(numbers: dict, label: str = '') -> dict:
        return {f'pseudo/{label}{name}': round(float(numbers[key]), 2) for name, key in MEANS.items()}

    if best is None:
        return {**means(found), 'pseudo/undecided': round(found['undecided'], 2)}
    oracle = means(at_index(found, best), 'oracle_')
    oracle['pseudo/oracle_threshold'] = float(found['thresholds'][best])
    if fixed is None:
        return oracle
    return {**means(at_index(found, fixed)), 'pseudo/threshold': float(found['thresholds'][fixed]), **oracle}


def plot(found: dict, classes: Sequence[str], fixed: Optional[int], best: Optional[int], path: str) -> None:
    """Draw mIoU, FP and FN over the threshold, or the IoU of each class."""
    figure = Figure(figsize=(7, 4.2), layout='constrained')
    axes = figure.add_subplot()
    axes.spines[['top', 'right']].set_visible(False)
    if best is None:
        axes.bar(range(len(classes)), np.nan_to_num(found['IoU']), 0.7, color='tab:blue')
        axes.axhline(found['mIoU'], color='0.3', linestyle='--', label=f'mIoU {found["mIoU"]:.2f}')
        axes.set_xticks(range(len(classes)), classes, rotation=90 if len(classes) > 8 else 0,
                        fontsize=9 if len(classes) < 30 else 6)
        axes.set(ylabel='IoU (%)', ylim=(0, 100))
    else:
        for name, colour in (('mIoU', 'tab:blue'), ('FP', 'tab:red'), ('FN', 'tab:orange')):
            axes.plot(found['thresholds'], found[name], color=colour, label=name)
        for index, style, text in ((fixed, 's', 'fixed'), (best, 'o', 'oracle')):
            if index is not None:
                x, y = found['thresholds'][index], found['mIoU'][index]
                axes.plot(x, y, style, color='tab:blue', label=f'{text}: {y:.2f} at {x:g}')
        axes.set(xlabel='background threshold', ylabel='%', ylim=(0, 100))
        axes.grid(alpha=.3)
    figure.legend(frameon=False, loc='outside upper right', ncols=3)
    with atomic_path(path) as tmp:
        figure.savefig(tmp, dpi=150)


def report(found: dict, classes: Sequence[str], args: argparse.Namespace) -> None:
    """Print the tables and write what was asked for."""
    fixed = best = None
    if 'thresholds' in found:
        fixed = None if args.threshold is None else int(np.argmin(np.abs(found['thresholds'] - args.threshold)))
        grid = np.flatnonzero(np.isin(found['thresholds'], args.thresholds))  # without the fixed one
        best = int(grid[best_threshold(found['mIoU'][grid], args.stop_early)])
        if fixed is not None:
            print_table(at_index(found, fixed), classes, f'threshold {args.threshold:g}, fixed')
        print_table(at_index(found, best), classes,
                    f'threshold {found["thresholds"][best]:g}: oracle, the best by the masks')
    else:
        print_table(found, classes, f'{args.label_dir}: {found["undecided"]:.2f} % of the pixels undecided')
    named = metrics(found, fixed, best)
    Console().print('  '.join(f'{key}: {value:g}' for key, value in named.items()), soft_wrap=True)
    if args.json:
        settings = {key: value for key, value in vars(args).items() if key not in ('json', 'plot', 'thresholds')}
        write_results(args.json, 'eval_pseudo_labels.py', named, classes=list(classes), settings=settings, **found)
    if args.plot:
        plot(found, classes, fixed, best, args.plot)


def main() -> None:
    """Evaluate what the command line describes."""
    args = parse_args()
    classes = class_names(args)
    report(evaluate(args, classes), classes, args)


if __name__ == '__main__':
    try:
        main()
    except (ValueError, OSError) as error:  # of the command line; anything else keeps its traceback
        sys.exit(f'{type(error).__name__}: {error}')
