#!/usr/bin/env python
"""Measure what each stage costs per image and per class, and extrapolate to VOC, COCO and a million photographs.

    bench_scale.py --json scale.json                 the small networks of the sample set
    bench_scale.py --config CONFIG --segmentor-config CONFIG2 --sizes 16 32 64

The stages run on generated photographs: for each number of images (--sizes) with each number of classes per image
(--present). A stage costs A seconds + B seconds per image + C seconds per image and class, fitted without negative
numbers. The weights are random. The totals are those of photographs of the measured size (--image-size).
"""

import argparse
import copy
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.table import Table
from scipy.optimize import nnls
from torch import nn

from mmwsss.apis import expand_short_forms, init_model, labelled_images, make_pseudo_labels
from mmwsss.apis.configs import strip_pretrained
from mmwsss.datasets import ImageLabels
from mmwsss.datasets.config import load_config
from mmwsss.datasets.map_files import write_label_map
from mmwsss.evaluation import evaluate_label_folder
from mmwsss.registry import DATASETS, MODELS
from mmwsss.utils import write_json
from mmwsss.utils.cli import read_config_file
from mmwsss.utils.errors import run_tool

CLASSIFIER = 'configs/mctformer/mctformer-v2_vit-micro_sample.py'
SEGMENTOR = 'configs/mctformer/retrain_fcn_vit-micro_sample.py'


class Target(NamedTuple):
    """A data set to extrapolate to: images, and classes per image on average."""

    images: int
    present: float


TARGETS = {
    'VOC': Target(10_582, 1.5),
    'COCO': Target(82_081, 2.9),
    'a million photographs': Target(1_000_000, 1.5)
}
"""dict: The training images that show a class, and how many each shows."""


class Costs(NamedTuple):
    """What a stage costs: ``fixed + images * (per_image + present * per_class)``, in seconds or bytes."""

    fixed: float
    per_image: float
    per_class: float

    def total(self, images: float, present: float) -> float:
        """Return the cost of ``images`` with ``present`` classes each."""
        return self.fixed + images * (self.per_image + present * self.per_class)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--config', default=CLASSIFIER, help='classifier (default: %(default)s)')
    parser.add_argument('--segmentor-config', default=SEGMENTOR,
                        help='segmentor that is trained on a PseudoLabelDataset (default: %(default)s)')
    parser.add_argument('--sizes', type=int, nargs='+', default=[16, 32, 64], metavar='N',
                        help='numbers of images (default: 16 32 64)')
    parser.add_argument('--present', type=int, nargs='+', default=[1, 3], metavar='P',
                        help='classes per image (default: 1 3)')
    parser.add_argument('--image-size', type=int, nargs=2, default=(375, 500), metavar=('H', 'W'),
                        help='of the photographs (default: 375 500)')
    parser.add_argument('--clock', choices=['wall', 'cpu'], default='wall',
                        help='cpu: seconds of the processor, where other programs are running (default: wall)')
    parser.add_argument('--threads', type=int, default=1, help="torch's threads (default: 1)")
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--json', metavar='FILE', help='also write the numbers there')
    return parser.parse_args()


def write_photographs(root: Path, images: int, present: int, size: Sequence[int], classes: Sequence[str]) -> None:
    """Write photographs, masks and image labels in VOC's layout; every class is a smooth blob of its own color."""
    height, width = size
    for name in ('JPEGImages', 'SegmentationClass', 'ImageSets/Segmentation'):
        (root / name).mkdir(parents=True)
    labels = {}
    for index in range(images):
        rng = np.random.default_rng(index)
        shown = np.sort(rng.permutation(len(classes))[:present])
        coarse = rng.choice([0, 0, *(shown + 1)], (6, 8)).astype(np.uint8)
        mask = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST)
        colors = np.random.default_rng(0).integers(0, 256, (len(classes) + 1, 3))
        noise = cv2.resize(rng.integers(0, 80, (48, 64, 3), dtype=np.uint8), (width, height))
        image = np.clip(colors[mask] * 0.7 + noise, 0, 255).astype(np.uint8)
        name = f'photo_{index:06d}'
        cv2.imwrite(str(root / f'JPEGImages/{name}.jpg'), image)
        write_label_map(mask, root / f'SegmentationClass/{name}.png')
        labels[name] = [classes[k] for k in shown]
    for split in ('train', 'val'):
        (root / f'ImageSets/Segmentation/{split}.txt').write_text('\n'.join(labels) + '\n')
    (root / 'classes.txt').write_text('\n'.join(classes) + '\n')
    ImageLabels(tuple(classes), labels).save(root / 'image_labels.json')


def config_of(path: str, root: Path, **options: Any) -> Config:
    """Return a config that reads the photographs in ``root``; ``options`` override it by dotted key."""
    labels = root / 'image_labels.json'
    return load_config(argparse.Namespace(config=path, cfg_options=options, data_root=str(root),
                                          classes=str(root / 'classes.txt'), label_file=str(labels)))


def train(cfg: Config, device: str) -> nn.Module:
    """Train a model once on every training image, without workers that load data, and return it in eval mode."""
    strip_pretrained(cfg.model, keep_local=False)
    model = MODELS.build(cfg.model)
    model.init_weights()
    model = model.to(device).train()
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    dataset = DATASETS.build(copy.deepcopy(cfg.train_dataloader.dataset))
    batch = cfg.train_dataloader.batch_size
    for first in range(0, len(dataset), batch):
        samples = [dataset[index] for index in range(first, min(first + batch, len(dataset)))]
        model.train_step(pseudo_collate(samples), optim_wrapper)
    return model.eval()


class Stages:
    """Run the stages on a folder of photographs, and record what each takes.

    Args:
        root (Path): The folder; results go to ``root / 'out'``.
        args (Namespace): The command line.

    Attributes:
        seconds (dict[str, float]): By stage.
        bytes (dict[str, int]): By kind of file.
    """

    def __init__(self, root: Path, args: argparse.Namespace) -> None:
        self.root, self.out, self.args = root, root / 'out', args
        self.seconds: dict[str, float] = {}
        self.bytes: dict[str, int] = {}

    @contextmanager
    def measured(self, name: str) -> Iterator[None]:
        """Record the seconds that the block takes."""
        clock = time.process_time if self.args.clock == 'cpu' else time.perf_counter
        start = clock()
        yield
        if torch.device(self.args.device).type == 'cuda':
            torch.cuda.synchronize(self.args.device)
        self.seconds[name] = clock() - start

    def run(self) -> None:
        """Run all stages."""
        cfg = config_of(self.args.config, self.root)
        with self.measured('classifier training, an epoch'):
            train(copy.deepcopy(cfg), self.args.device)
        model = init_model(cfg, device=self.args.device)
        with self.measured('reading the lists'):
            images = labelled_images(cfg)
        for name, folder, flags in (
                ('CAMs', 'cams', dict(save_cams=True)),
                ('checking finished files', 'cams', dict(save_cams=True)),
                ('labels of saved CAMs', 'plain', dict(cams=str(self.out / 'cams'), save_cams=True, cam_stride=4)),
                ('labels of saved CAMs, dense CRF', 'crf', dict(cams=str(self.out / 'cams'), post='crf'))):
            with self.measured(name):
                make_pseudo_labels(model, images, self.out / folder, expand_short_forms(threshold=0.4, **flags))
        with self.measured('evaluation'):
            evaluate_label_folder(self.out / 'crf', self.root / 'SegmentationClass', images.image_ids,
                                  ['background', *images.classes])
        cfg = config_of(self.args.segmentor_config, self.root,
                        **{'train_dataloader.dataset.pseudo_label_dir': str(self.out / 'crf')})
        with self.measured('segmentor training, an epoch'):
            segmentor = train(cfg, self.args.device)
        with self.measured('segmentation'):
            make_pseudo_labels(segmentor, images, self.out / 'segmentation',
                               expand_short_forms(threshold=0.5, source='segmentation'))
        self._count_bytes()

    def _count_bytes(self) -> None:
        kinds = {'label maps': 'crf/*.png', 'CAMs': 'cams/cams/*.npz', 'CAMs at stride 4': 'plain/cams/*.npz'}
        for name, pattern in kinds.items():
            self.bytes[name] = sum(path.stat().st_size for path in self.out.glob(pattern))


def fit(sizes: Sequence[tuple[int, int]], costs: Sequence[float]) -> tuple[Costs, float]:
    """Fit a fixed cost, one per image and one per image and class, none of them negative.

    Args:
        sizes (Sequence[tuple[int, int]]): Images, and classes per image.
        costs (Sequence[float]): What each of these has cost.

    Returns:
        tuple[Costs, float]: The fit, and its largest deviation from a measured cost, relative to it.
    """
    images, present = np.array(sizes, float).T
    design = np.stack([np.ones_like(images), images, images * present], axis=1)
    costs = np.asarray(costs, float)
    weights = 1 / np.maximum(costs, 1e-9)  # relative deviations count
    found, _ = nnls(design * weights[:, None], costs * weights)
    deviation = np.abs(design @ found * weights - costs * weights).max()
    return Costs(*found.tolist()), float(deviation)


def measure(args: argparse.Namespace, classes: Sequence[str], console: Console) -> list[dict]:
    """Run the stages for every number of images and of classes per image, after a small run to warm up.

    Returns:
        list[dict]: ``images``, ``present``, ``seconds`` and ``bytes`` of each.
    """
    rows = []
    sizes = [(images, present) for images in args.sizes for present in args.present]
    for images, present in [(2, 1), *sizes]:
        with tempfile.TemporaryDirectory() as folder:
            write_photographs(Path(folder, 'data'), images, present, args.image_size, classes)
            stages = Stages(Path(folder, 'data'), args)
            stages.run()
        rows.append(dict(images=images, present=present, seconds=stages.seconds, bytes=stages.bytes))
        console.print(f'{images} photographs of {present} classes: {sum(stages.seconds.values()):.1f} s')
    return rows[1:]


def fitted(rows: Sequence[dict], key: str) -> dict[str, tuple[Costs, float]]:
    """Fit the ``seconds`` or ``bytes`` of measured rows; see :func:`fit`."""
    sizes = [(row['images'], row['present']) for row in rows]
    return {name: fit(sizes, [row[key][name] for row in rows]) for name in rows[0][key]}


def extrapolate(costs: dict[str, tuple[Costs, float]]) -> dict[str, dict[str, float]]:
    """Extrapolate fitted costs to :data:`TARGETS`."""
    return {name: {data: cost.total(*target) for data, target in TARGETS.items()} for name, (cost, _) in costs.items()}


def show(title: str, costs: dict[str, tuple[Costs, float]], totals: dict[str, dict[str, float]],
         number: Callable[[float], str], total: Callable[[float], str]) -> Table:
    """Build a table: per 1,000 images, per 1,000 images and class, and the totals."""
    table = Table(title=title)
    for heading in ('', 'fixed', 'per 1,000 images', 'and class', 'fit within', *TARGETS):
        table.add_column(heading, justify='right' if heading else 'left')
    for name, (cost, deviation) in costs.items():
        table.add_row(name, number(cost.fixed), number(1000 * cost.per_image), number(1000 * cost.per_class),
                      f'{100 * deviation:.0f} %', *(total(value) for value in totals[name].values()))
    return table


def main() -> None:
    """Measure, fit, extrapolate and print."""
    args = parse_args()
    MMLogger.get_instance('bench_scale', log_level='ERROR')
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    cfg = read_config_file(args.config)
    init_default_scope(cfg.get('default_scope', 'mmwsss'))
    console = Console(width=160)
    rows = measure(args, [f'class {index}' for index in range(1, cfg.model.cam_head.num_classes + 1)], console)
    seconds, sizes = fitted(rows, 'seconds'), fitted(rows, 'bytes')
    hours, gib = extrapolate(seconds), extrapolate(sizes)
    unit = 'seconds on the clock' if args.clock == 'wall' else 'CPU seconds'
    what = f'{args.image_size[0]} x {args.image_size[1]}, {args.device}, one process, {args.threads} thread(s)'
    console.print(show(f'{unit}; totals in hours; {what}', seconds, hours, '{:.2f}'.format,
                       lambda value: f'{value / 3600:.2f}'))
    console.print(show('disk, MiB; totals in GiB', sizes, gib, lambda value: f'{value / 2**20:.2f}',
                       lambda value: f'{value / 2**30:.2f}'))
    if args.json:
        fits = {name: dict(cost._asdict(), deviation=deviation) for name, (cost, deviation) in
                {**seconds, **{f'{name}, bytes': value for name, value in sizes.items()}}.items()}
        write_json(dict(config=args.config, segmentor=args.segmentor_config, device=args.device, clock=args.clock,
                        threads=args.threads, image_size=list(args.image_size), rows=rows, fits=fits,
                        seconds=hours, bytes=gib), args.json)


if __name__ == '__main__':
    run_tool(main)
