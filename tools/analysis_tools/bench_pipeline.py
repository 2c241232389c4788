#!/usr/bin/env python
"""Measure training pipelines: images a second of one worker, the time of each transform, and ways to decode JPEGs.

    bench_pipeline.py CONFIG --images 64                      one config
    bench_pipeline.py CONFIG --need 40                        and how many workers a network of 40 images a second needs
    bench_pipeline.py CONFIG --need measured --device cuda    the same, with the network's speed measured
    bench_pipeline.py                                         a config for each pipeline

The images are generated photographs of VOC's size and detail, JPEG files in a temporary folder. Everything runs in one
thread, as in a worker of a data loader. The time of a transform is the processor's, and its own: that of transforms
which it calls counts as theirs.
"""

import argparse
import math
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Optional, Union

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

import cv2
import mmcv
import numpy as np
import torch
from benchmark import contestant, find_pipeline, measure, seed_all
from measurements import add_measurement_arguments, medians, result_row, time_in_turns, write_rows
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.table import Table
from torchvision.io import ImageReadMode, decode_jpeg

from mmwsss.registry import TRANSFORMS
from mmwsss.utils.cli import read_config_file
from mmwsss.utils.errors import UserError, run_tool

CONFIGS = ['configs/toco/toco_vit-b_voc.py', 'configs/mctformer/mctformer-v2_deit-s_voc.py',
           'configs/aream/aream_deit-s_voc.py', 'configs/transcam/transcam_conformer-s_voc.py',
           'configs/weaktr/weaktr-retrain_deit-s_voc.py', 'configs/deeplab/deeplabv1_wr38_voc.py',
           'configs/deeplab/deeplabv2_r101_voc.py']
SIZE = (375, 500)


def images_per_second(text: str) -> Union[float, str]:
    """Read the value of ``--need``."""
    if text == 'measured':
        return text
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError('must be positive')
    return value


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='*', default=CONFIGS, metavar='CONFIG')
    parser.add_argument('--images', type=int, default=32, metavar='N', help='images of a round (default: 32)')
    parser.add_argument('--need', type=images_per_second, metavar='IMAGES_PER_S',
                        help="images a second that the network takes, or 'measured'")
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu',
                        help='where the network is measured')
    add_measurement_arguments(parser)
    return parser.parse_args()


def write_photographs(folder: Path, count: int, num_classes: int) -> list[dict]:
    """Write JPEGs with the detail of photographs and masks of two classes; return what a data set gives of each."""
    samples = []
    for index in range(count):
        rng = np.random.default_rng(index)
        photo = sum(_noise(rng, 2**octave) * 2.**(-.6 * octave) for octave in range(1, 9))  # a natural image's spectrum
        photo = cv2.normalize(photo, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
        labels = rng.permutation(num_classes)[:2]
        coarse = rng.choice([0, *(labels + 1)], (6, 8)).astype(np.uint8)
        paths = dict(img_path=str(folder / f'{index}.jpg'), seg_map_path=str(folder / f'{index}.png'))
        cv2.imwrite(paths['img_path'], photo)
        cv2.imwrite(paths['seg_map_path'], cv2.resize(coarse, SIZE[::-1], interpolation=cv2.INTER_NEAREST))
        gt_label = np.zeros(num_classes, np.float32)
        gt_label[labels] = 1
        samples.append(dict(paths, gt_label=gt_label, image_id=str(index), sample_seed=index, sample_idx=index,
                            label_map=None, reduce_zero_label=False))
    return samples


def _noise(rng: np.random.Generator, cells: int) -> np.ndarray:
    """Return noise (H, W, 3) that changes ``cells`` times along a side."""
    coarse = rng.standard_normal((min(cells, SIZE[0]), min(cells, SIZE[1]), 3), dtype=np.float32)
    return cv2.resize(coarse, SIZE[::-1], interpolation=cv2.INTER_CUBIC)


def build_pipeline(cfg: Config) -> list[BaseTransform]:
    """Build the transforms of a config's training.

    Raises:
        UserError: Its training reads files that are not generated here.
    """
    steps = find_pipeline(cfg.train_dataloader.dataset)
    special = [step['type'] for step in steps if step['type'].split('.')[-1] == 'LoadAffinityScores']
    if special:
        raise UserError(f'{cfg.filename}: its pipeline reads class maps ({special[0]}), which are not generated here')
    return [TRANSFORMS.build(step) for step in steps if step['type'] != 'LoadTrueMask']


def run(transforms: list[BaseTransform], samples: list[dict]) -> None:
    """Send all samples through transforms, each with its seed, so that all rounds do the same."""
    pipeline = Compose(transforms)
    for index, sample in enumerate(samples):
        seed_all(index)
        pipeline(dict(sample, seg_fields=[]))


@contextmanager
def transform_times() -> Iterator[dict[str, float]]:
    """Yield a dictionary that gets the seconds each transform takes itself, by its name after those around it."""
    seconds, running, plain = defaultdict(float), [], BaseTransform.__call__

    def timed(transform: BaseTransform, results: dict) -> Optional[dict]:
        running.append([type(transform).__name__, 0.])
        began = time.thread_time()
        found = plain(transform, results)
        taken = time.thread_time() - began
        name = ' > '.join(entry[0] for entry in running if entry[0] != 'Compose')
        seconds[name] += taken - running.pop()[1]
        if running:
            running[-1][1] += taken
        return found

    BaseTransform.__call__ = timed
    try:
        yield seconds
    finally:
        BaseTransform.__call__ = plain


def network_need(path: str, cfg: Config, args: argparse.Namespace) -> Optional[float]:
    """Return how many images a second the network takes, measured if asked; None if not asked."""
    if args.need != 'measured':
        return args.need
    settings = argparse.Namespace(task='train', data='random', batch_size=None, image_size=SIZE, labels=2, seed=0,
                                  iteration=None, rounds=args.repeat, warmup=1, device=args.device, no_memory=True)
    row, = measure([contestant(path, cfg, settings)], settings)
    return row['images_per_second']


def compare_config(path: str, args: argparse.Namespace, tables: tuple[Table, Table]) -> list[dict]:
    """Measure the pipeline of a config, add it to the tables, and return its rows of the JSON file."""
    cfg = read_config_file(path)
    init_default_scope(cfg.get('default_scope', 'mmwsss'))
    transforms, name = build_pipeline(cfg), Path(path).stem
    with tempfile.TemporaryDirectory() as folder:
        samples = write_photographs(Path(folder), args.images, cfg.get('num_classes', 20))
        whole, loading = time_in_turns([lambda: run(transforms, samples), lambda: run(transforms[:1], samples)], 'cpu',
                                       args.repeat)
        with transform_times() as seconds:
            run(transforms, samples)
    rate = args.images / medians([whole])[0]
    need = network_need(path, cfg, args)
    order = sorted(seconds, key=seconds.get, reverse=True)
    share = seconds[order[0]] / sum(seconds.values())
    tables[0].add_row(name, f'{rate:.1f}', f'{need:.1f}' if need else '', str(math.ceil(need / rate)) if need else '',
                      order[0], f'{100 * share:.0f} %')
    for transform in order:
        tables[1].add_row(name if transform == order[0] else '', transform,
                          f'{1000 * seconds[transform] / args.images:.2f}')
    what = f'training pipeline of {name}, one worker'
    rows = [result_row(what, 'reading and decoding alone', whole, loading)]
    if need:
        rows.append(result_row(what, 'need of the network', [1 / rate], [1 / need]))
    return rows


def decoders() -> dict[str, Union[Callable[[bytes], np.ndarray], str]]:
    """Return by name what decodes JPEGs into BGR arrays (H, W, 3), or why it is not there."""
    found = {name: lambda data, name=name: mmcv.imfrombytes(data, backend=name) for name in ('cv2', 'pillow')}
    try:
        mmcv.use_backend('turbojpeg')
        found['turbojpeg'] = lambda data: mmcv.imfrombytes(data, backend='turbojpeg')
    except (ImportError, RuntimeError, OSError) as error:  # the package, or the library that it binds
        found['turbojpeg'] = str(error).split('\n')[0]
    finally:
        mmcv.use_backend('cv2')
    try:
        with_torchvision(cv2.imencode('.jpg', np.zeros((8, 8, 3), np.uint8))[1].tobytes())
        found['torchvision'] = with_torchvision
    except (ImportError, RuntimeError, AttributeError) as error:
        found['torchvision'] = str(error).split('\n')[0]
    return found


def with_torchvision(data: bytes) -> np.ndarray:
    """Decode a JPEG by torchvision into a BGR array (H, W, 3)."""
    image = decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8), mode=ImageReadMode.RGB)
    return image.flip(0).permute(1, 2, 0).contiguous().numpy()


def compare_decoders(args: argparse.Namespace) -> tuple[Table, list[dict]]:
    """Compare backends with cv2, mmcv's default: time, and how far pixels are apart."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [sample['img_path'] for sample in write_photographs(Path(folder), args.images, 20)]
        files = [Path(path).read_bytes() for path in paths]
    table = Table(title=f'decoding, {args.images} JPEGs of {SIZE[0]} x {SIZE[1]}, '
                        f'{sum(map(len, files)) / len(files) / 1024:.0f} KiB each')
    for heading in ('backend', 'ms per image', 'ratio', 'pixels that differ', 'largest difference'):
        table.add_column(heading, justify='left' if heading == 'backend' else 'right')
    found = decoders()
    working = {name: decode for name, decode in found.items() if callable(decode)}
    functions = [lambda decode=decode: [decode(data) for data in files] for decode in working.values()]
    rounds = dict(zip(working, time_in_turns(functions, 'cpu', args.repeat)))
    expected, rows = functions[0](), []
    for (name, taken), function in zip(rounds.items(), functions):
        gaps = np.stack([cv2.absdiff(a, b) for a, b in zip(function(), expected)])
        row = result_row(f'decoding of JPEGs of {SIZE[0]} x {SIZE[1]} by {name}', 'cv2', taken, rounds['cv2'],
                         gaps.max())
        table.add_row(name, f'{1000 * medians([taken])[0] / args.images:.2f}', f'{row["ratio"]:.2f}',
                      f'{100 * (gaps > 0).mean():.2f} %', str(gaps.max()))
        rows += [] if name == 'cv2' else [row]
    table.caption = '\n'.join(f'no {name}: {reason}' for name, reason in found.items() if name not in working)
    return table, rows


def main() -> None:
    """Print both tables of the pipelines and that of the backends."""
    args = parse_args()
    MMLogger.get_instance('bench', log_level='WARNING')
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    tables = Table(title=f'training pipelines, one worker, {args.images} images'), Table(title='time of each transform')
    for heading in ('config', 'images / s', 'need', 'workers', 'slowest transform', 'its share'):
        tables[0].add_column(heading, justify='left' if heading in ('config', 'slowest transform') else 'right')
    for heading in ('config', 'transform', 'ms per image'):
        tables[1].add_column(heading, justify='right' if heading == 'ms per image' else 'left')
    rows = [row for path in args.configs for row in compare_config(path, args, tables)]
    table, rows_of_decoders = compare_decoders(args)
    console = Console(width=150)
    for shown in (*tables, table):
        console.print(shown)
    write_rows(args.json, __file__, rows + rows_of_decoders)


if __name__ == '__main__':
    run_tool(main)
