"""Count images a second of the dense CRF's worker pool, as pseudo labels are made, with several numbers of workers.

Photographs are replaced by smooth random pictures of the size of those of VOC, and CAMs by smooth random maps;
files are written to a temporary folder. The first images, which start the workers, do not count.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
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


def images_per_second(folder: Path, args: argparse.Namespace, workers: int) -> float:
    """Label all images with a number of workers."""
    outputs = build_outputs(
        expand_short_forms(threshold=.4, post=args.post, crf=args.preset, crf_alphas=tuple(args.crf_alphas)))
    warm_up = max(1, workers)
    prepared = list(jobs(folder / f'labels_{workers}', args, outputs, warm_up + args.images))
    with LabelWriter(outputs, [(0, 0, 0)], workers) as writer:
        for job in prepared[:warm_up]:
            list(writer.write(job))
        list(writer.flush())
        start = time.perf_counter()
        for _ in writer.run(prepared[warm_up:]):
            pass
        return args.images / (time.perf_counter() - start)


def main() -> None:
    """Print images a second by the number of workers."""
    args = parse_args()
    table = Table(title=f'dense CRF {args.preset}, {args.size[0]} x {args.size[1]}, {args.present} classes, '
                        f'{args.images} images')
    for heading in ('workers', 'images / s', 'ratio'):
        table.add_column(heading, justify='right')
    first = None
    with tempfile.TemporaryDirectory() as folder:
        for workers in args.workers:
            rate = images_per_second(Path(folder), args, workers)
            first = first or rate
            table.add_row(str(workers), f'{rate:.2f}', f'{rate / first:.2f}')
    Console().print(table)


if __name__ == '__main__':
    run_tool(main)
