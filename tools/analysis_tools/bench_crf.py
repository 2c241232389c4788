"""Count images a second of the dense CRF's worker pool, as pseudo labels are made, with several numbers of workers.

Photographs are replaced by smooth random pictures of the size of those of VOC, and CAMs by smooth random maps;
files are written to a temporary folder. The first images, which start the workers, do not count. Where the workers are
behind, the process that feeds them labels images as well, as it does in ``make_pseudo_labels``.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from measurements import add_measurement_arguments, counted, result_row, write_rows
from rich.console import Console
from rich.table import Table

from mmwsss.apis import expand_short_forms
from mmwsss.models.label_steps import CRF_PRESETS, LabelBatch
from mmwsss.pseudo_labels.label_cfg import LabelOutput, build_outputs
from mmwsss.pseudo_labels.writer import LabelWriter, WriteTask
from mmwsss.utils.errors import run_tool


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--preset', default='mctformer_cam', choices=sorted(CRF_PRESETS))
    parser.add_argument('--post', default='crf', choices=['crf', 'label-crf'])
    parser.add_argument('--crf-alphas', type=float, nargs='*', default=(), metavar='A')
    parser.add_argument('--size', type=int, nargs=2, default=(375, 500), metavar=('H', 'W'))
    parser.add_argument('--present', type=int, default=2, help='classes in an image')
    parser.add_argument('--images', type=int, default=12, help='images that count')
    parser.add_argument('--workers', type=int, nargs='+', default=(1, 2))
    add_measurement_arguments(parser)
    return parser.parse_args()


def smooth_noise(rng: np.random.Generator, size: tuple[int, int], channels: int) -> np.ndarray:
    """Random values (H, W, channels) in [0, 1] that change over tens of pixels."""
    coarse = rng.random((size[0] // 24, size[1] // 24, channels), dtype=np.float32)
    return cv2.resize(coarse, (size[1], size[0]), interpolation=cv2.INTER_LINEAR).reshape(*size, channels)


def jobs(out: Path, args: argparse.Namespace, outputs: dict[str, LabelOutput], count: int) -> Iterator[WriteTask]:
    """Yield what the network would leave of each image."""
    rng = np.random.default_rng(0)
    for index in range(count):
        pixels, maps = smooth_noise(rng, args.size, 3), smooth_noise(rng, args.size, args.present)
        image = torch.from_numpy((255 * pixels).astype(np.uint8)).permute(2, 0, 1)[None]
        maps = torch.from_numpy(np.ascontiguousarray(maps.transpose(2, 0, 1)))[None]
        batch = LabelBatch.from_maps(image, maps, torch.arange(args.present), 20)
        paths = {name: out / name / f'{index}.{output.format}' for name, output in outputs.items()}
        yield WriteTask(str(index), dict.fromkeys(outputs, batch), paths, 'benchmark')


def seconds_of_rounds(folder: Path, args: argparse.Namespace, workers: int) -> list[float]:
    """Label all images ``args.repeat`` times with a number of workers; return the seconds of each time."""
    outputs = build_outputs(
        expand_short_forms(threshold=.4, post=args.post, crf=args.preset, crf_alphas=tuple(args.crf_alphas)))
    warm_up = max(1, workers)
    prepared = list(jobs(folder / f'labels_{workers}', args, outputs, warm_up + args.images))
    seconds = []
    with LabelWriter(outputs, [(0, 0, 0)], workers) as writer:
        for job in prepared[:warm_up]:
            list(writer.write(job))
        list(writer.flush())
        for _ in range(args.repeat):
            start = time.perf_counter()
            for _ in writer.run(prepared[warm_up:]):
                pass
            seconds.append(time.perf_counter() - start)
    return seconds


def main() -> None:
    """Print images a second by the number of workers."""
    args = parse_args()
    case = f'{args.size[0]} x {args.size[1]}, {args.present} classes'
    table = Table(title=f'dense CRF {args.preset}, {case}, {args.images} images, median of {args.repeat} rounds')
    for heading in ('workers', 'images / s', 'ratio'):
        table.add_column(heading, justify='right')
    with tempfile.TemporaryDirectory() as folder:
        taken = {workers: seconds_of_rounds(Path(folder), args, workers) for workers in args.workers}
    first = next(iter(taken))
    rows = [result_row(f'dense CRF {args.preset}, {case}, {counted(workers, "worker")}', counted(first, 'worker'),
                       seconds, taken[first])
            for workers, seconds in taken.items()]
    for workers, row in zip(taken, rows):
        rate = args.images / statistics.median(row['seconds'])
        table.add_row(str(workers), f'{rate:.2f}', f'{row["ratio"]:.2f}')
    Console().print(table)
    write_rows(args.json, __file__, rows[1:] or rows)


if __name__ == '__main__':
    run_tool(main)
