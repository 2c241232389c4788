"""Time the one-pass threshold sweep against one evaluation pass per threshold, on equal results."""

import argparse
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from measurements import add_measurement_arguments, medians, result_row, time_in_turns, write_rows
from rich.console import Console
from rich.table import Table

from mmwsss.evaluation import ThresholdSweep, class_rates
from mmwsss.utils.errors import run_tool


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--images', type=int, default=8, help='number of random images')
    parser.add_argument('--size', type=int, nargs=2, default=(375, 500), metavar=('H', 'W'))
    parser.add_argument('--num-classes', type=int, default=21, help='classes with background')
    parser.add_argument('--present', type=int, default=2, help='classes present in an image')
    parser.add_argument('--thresholds', type=int, default=60, help='number of thresholds')
    parser.add_argument('--seed', type=int, default=0)
    add_measurement_arguments(parser)
    return parser.parse_args()


def random_images(args: argparse.Namespace) -> list:
    """Make smooth CAMs with ``args.present`` classes, and ground truth of all classes."""
    generator = torch.Generator().manual_seed(args.seed)
    images = []
    for _ in range(args.images):
        coarse = torch.rand(1, args.num_classes - 1, 12, 16, generator=generator)
        cams = torch.nn.functional.interpolate(coarse, args.size, mode='bilinear')[0].clamp(0, 1)
        absent = torch.randperm(len(cams), generator=generator)[args.present:]
        cams[absent] = 0
        gt = torch.randint(args.num_classes, tuple(args.size), generator=generator)
        gt[torch.rand(gt.shape, generator=generator) < .05] = 255
        images.append((cams, gt))
    return images


def one_pass(images: list, thresholds: np.ndarray, num_classes: int) -> np.ndarray:
    """Compute the IoU (T, K) of all thresholds by :class:`ThresholdSweep`."""
    sweep = ThresholdSweep(num_classes, thresholds)
    for cams, gt in images:
        sweep.update(cams, gt)
    return sweep.compute()['IoU']


def pass_per_threshold(images: list, thresholds: np.ndarray, num_classes: int) -> np.ndarray:
    """Compute the same by a whole evaluation per threshold: background plane, argmax, confusion matrix."""
    return np.stack([_evaluate_labels(images, threshold, num_classes, _argmax_label)
                     for threshold in thresholds])


def pass_per_threshold_shared_argmax(images: list, thresholds: np.ndarray,
                                     num_classes: int) -> np.ndarray:
    """Compute the same with the winning class computed once; per threshold only labels and confusion."""
    winners = [(cams.max(0), gt) for cams, gt in images]
    return np.stack([_evaluate_labels(winners, threshold, num_classes, _threshold_label)
                     for threshold in thresholds])


def _argmax_label(cams: torch.Tensor, threshold: float) -> torch.Tensor:
    background = torch.full_like(cams[:1], threshold)
    return torch.cat([background, cams]).max(0).indices  # faster than argmax on a CPU


def _threshold_label(winner: tuple, threshold: float) -> torch.Tensor:
    scores, classes = winner
    return torch.where(scores > threshold, classes + 1, 0)


def _evaluate_labels(images: list, threshold: float, num_classes: int,
                     label: Callable) -> np.ndarray:
    confusion = torch.zeros(num_classes**2, dtype=torch.long)
    for maps, gt in images:
        valid = gt != 255
        joint = gt[valid] * num_classes + label(maps, threshold)[valid]
        confusion += torch.bincount(joint, minlength=num_classes**2)
    confusion = confusion.reshape(num_classes, num_classes).numpy()
    return class_rates(np.diag(confusion), confusion.sum(0), confusion.sum(1))['IoU']


def main() -> None:
    """Time the three arrangements and print their ratios; fail if their numbers differ."""
    args = parse_args()
    images = random_images(args)
    thresholds = np.arange(args.thresholds) / args.thresholds
    arrangements = {
        'one pass (ThresholdSweep)': one_pass,
        f'{args.thresholds} passes': pass_per_threshold,
        f'{args.thresholds} passes, argmax shared': pass_per_threshold_shared_argmax,
    }
    functions = [partial(function, images, thresholds, args.num_classes) for function in arrangements.values()]
    expected, *others = (function() for function in functions)
    gaps = [float(np.nanmax(np.abs(iou - expected))) for iou in (expected, *others)]
    rounds = time_in_turns(functions, 'cpu', args.repeat, warm_up=False)
    table = Table(title=f'{args.images} images of {args.size[0]}x{args.size[1]}, {args.num_classes} '
                        f'classes, {args.thresholds} thresholds, {torch.get_num_threads()} threads')
    for column in ('arrangement', 'ms per image', 'ratio to one pass', 'largest difference in IoU'):
        table.add_column(column, justify='left' if column == 'arrangement' else 'right')
    ours = medians(rounds)[0]
    for name, seconds, gap in zip(arrangements, medians(rounds), gaps):
        table.add_row(name, f'{1000 * seconds / args.images:.2f}', f'{seconds / ours:.1f}x', f'{gap:.1e}')
        if gap > 1e-9:
            raise SystemExit(f'{name} gives another IoU than the sweep: {gap}')
    what = f'{args.thresholds} thresholds in one pass, {args.size[0]}x{args.size[1]}, {args.num_classes} classes'
    write_rows(args.json, __file__, [result_row(what, name, rounds[0], taken, gap)
                                     for name, taken, gap in list(zip(arrangements, rounds, gaps))[1:]])
    Console().print(table)


if __name__ == '__main__':
    run_tool(main)
