"""Compare MCTformer's CAMs of an image with a plain arrangement of them: images a second, peak memory, result.

The plain arrangement sends the image and its mirror image through the network one after the other, keeps the attention
of every head and layer, stacks and averages it afterward, repeats the affinity for every class, and enlarges the maps
of all classes. Weights are random. Rounds alternate between all arrangements, so that whatever else the machine does
hits each of them.

    bench_cams.py --amp bf16      also in lower precision
    bench_cams.py --amp bf16 --configs CONFIG ...
                                  maps of any CAM models in lower precision against float32
    bench_cams.py --post crf      labels with a dense CRF, one step after the other and in workers beside the network,
                                  and how busy the cores are
    bench_cams.py --amp bf16 --photos PHOTOS --model CONFIG CHECKPOINT
                                  how many pixels of photographs change their label in lower precision
"""

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Optional

import numpy as np
import torch
from all_attention import pass_with_all_attention
from label_changes import add_photo_arguments, measure_label_changes
from measurements import add_measurement_arguments, counted, result_row, time_in_turns, write_rows
from mmengine.registry import init_default_scope
from overlap import label_rounds, number_of_cores
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from mmwsss.apis import cams_at_image_size, init_model
from mmwsss.models import CAMClassifier, backbone_precision
from mmwsss.registry import MODELS
from mmwsss.utils.cli import add_amp_argument, read_config_file
from mmwsss.utils.errors import UserError, run_tool
from mmwsss.utils.memory import peak_memory

CASES = {
    'configs/mctformer/mctformer-v2_deit-s_voc.py': (375, 500),
    'configs/mctformer/mctformer-v2_deit-s_coco.py': (480, 640)
}
QUICK = {'configs/mctformer/mctformer-v2_vit-micro_sample.py': (72, 90)}
TOLERANCE = 1e-4
PLAIN = 'one view at a time, all attention kept, all classes refined'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--configs', nargs='+', metavar='CONFIG',
                        help='compare --amp with float32 for these, in place of the arrangements')
    parser.add_argument('--size', type=int, nargs=2, default=(375, 500), metavar=('H', 'W'),
                        help='of the image for --configs (default: 375 500)')
    parser.add_argument('--present', type=int, default=2, help='classes in the image')
    add_measurement_arguments(parser)
    add_amp_argument(parser)
    parser.add_argument('--threads', type=int, default=2, help="torch's threads")
    parser.add_argument('--processes', type=int, default=0, metavar='N',
                        help='also measure N processes of one thread each that run ours side by side, on a CPU')
    parser.add_argument('--post', choices=['crf'], help='also make labels with a dense CRF of the maps')
    parser.add_argument('--workers', type=int, metavar='N',
                        help='worker processes of --post crf (default: the number of cores less one)')
    parser.add_argument('--images', type=int, default=6, metavar='N', help='images in a round of --post crf')
    parser.add_argument('--quick', action='store_true', help='a small model and image')
    parser.add_argument('--device', default='cpu')
    add_photo_arguments(parser)
    return parser.parse_args()


def example(config: str, size: tuple[int, int], present: int) -> tuple[CAMClassifier, Tensor, Tensor]:
    """Make a model with random weights, an image (1, 3, H, W) and image labels (C,)."""
    init_default_scope('mmwsss')
    cfg = read_config_file(config).model
    cfg.backbone.init_cfg = None
    cfg.cam_head.affinity_layers = None  # of all layers, as published
    torch.manual_seed(0)
    model = MODELS.build(cfg)
    torch.nn.init.normal_(model.backbone.cls_token)
    for layer in model.backbone.layers:  # products of usual size: uniform attention would leave maps of rounding errors
        torch.nn.init.normal_(layer.attn.qkv.weight, std=1.5 * model.backbone.embed_dims**-.5)
    image = F.interpolate(torch.randn(1, 3, size[0] // 16, size[1] // 16), size, mode='bicubic')
    labels = torch.zeros(model.cam_head.num_classes)
    labels[torch.randperm(len(labels))[:present]] = 1
    return model.eval(), image, labels


def our_cams(model: CAMClassifier, image: Tensor, labels: Tensor, amp: Optional[str] = None) -> np.ndarray:
    """Compute the maps (P, H, W) of the classes present as ``make_pseudo_labels`` does."""
    with backbone_precision(model, amp):
        cams = model.predict_cams(image, classes=labels.nonzero().flatten(), scored_view=None)['cams']
    return cams_at_image_size(cams, dict(ori_shape=tuple(image.shape[-2:])))[0].float().cpu().numpy()


@torch.no_grad()
def plain_cams(model: CAMClassifier, image: Tensor, labels: Tensor) -> np.ndarray:
    """Compute the same view by view, with all attention kept and the maps of all classes enlarged."""
    total = 0
    for mirrored in (False, True):
        maps, affinity = _plain_pass(model, image.flip(-1) if mirrored else image)
        refined = affinity.sum(dim=0).unsqueeze(1) @ maps.flatten(2).unsqueeze(-1)
        maps = F.interpolate(refined.reshape(maps.shape), image.shape[-2:], mode='bilinear', align_corners=False)
        maps = maps[0].cpu().numpy() * labels.cpu().numpy()[:, None, None]
        total = total + (maps[..., ::-1] if mirrored else maps)
    found = [total[c] for c in labels.nonzero().flatten().tolist()]
    return np.stack([(cam - cam.min()) / (cam.max() - cam.min() + 1e-8) for cam in found])


def _plain_pass(model: CAMClassifier, image: Tensor) -> tuple[Tensor, Tensor]:
    """Compute fused maps (1, C, h, w) and the affinity (L, 1, N, N) of every layer."""
    head, classes = model.cam_head, model.cam_head.num_classes
    features, attention = pass_with_all_attention(model.backbone, image)
    attention = attention.mean(dim=2).transpose(0, 1)
    class_to_patch = attention[-head.attention_layers:].sum(dim=0)[:, :classes, classes:].unflatten(2, features.grid)
    patch_cams = F.relu(head.patch_classifier(features.maps[-1]))
    return class_to_patch * patch_cams, attention[:, :, classes:, classes:]


class Meter:
    """Calls a function and notes the seconds of the processor that each call takes."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self.processor: list[float] = []

    def __call__(self) -> Any:
        """Call the function."""
        start = time.process_time()
        found = self.function()
        self.processor.append(time.process_time() - start)
        return found


def compare(config: str, size: tuple[int, int], args: argparse.Namespace) -> list[dict]:
    """Measure all arrangements, the plain one first.

    Returns:
        list[dict]: For each its ``name``, ``seconds`` of all rounds, the median ``processor`` seconds, the peak ``mib``
        and the largest ``difference`` of a map from the plain one.
    """
    device = torch.device(args.device)
    parts = tuple(part.to(device) for part in example(config, size, args.present))
    meters = {'plain': Meter(lambda: plain_cams(*parts)), 'mmwsss': Meter(lambda: our_cams(*parts))}
    if args.amp:
        meters[f'mmwsss, {args.amp}'] = Meter(lambda: our_cams(*parts, args.amp))
    maps = [meter.function() for meter in meters.values()]
    found = []
    for (name, meter), cams in zip(meters.items(), maps):
        with peak_memory(device) as peak:
            meter.function()
        found.append(dict(name=name, mib=peak.mib, difference=float(np.abs(maps[0] - cams).max())))
    rounds = time_in_turns(list(meters.values()), device, args.repeat)
    for result, meter, seconds in zip(found, meters.values(), rounds):
        result.update(seconds=seconds, processor=statistics.median(meter.processor[-args.repeat:]))
    return found


def compare_precisions(args: argparse.Namespace) -> tuple[Table, list[dict]]:
    """Measure the maps of ``args.configs`` with random weights, in float32 and in lower precision.

    Raises:
        UserError: There is no ``--amp``.
    """
    if not args.amp:
        raise UserError('--configs compares precisions: give --amp')
    device, rows = torch.device(args.device), []
    table = Table(title=f'CAMs of an image of {args.size[0]} x {args.size[1]}, {device}, {args.threads} threads')
    for heading in ('config', 'float32, images / s', f'{args.amp}, images / s', 'ratio', 'mean difference'):
        table.add_column(heading, justify='left' if heading == 'config' else 'right')
    for config in args.configs:
        torch.manual_seed(0)
        model = init_model(config, device=args.device)
        image = F.interpolate(torch.randn(1, 3, args.size[0] // 16, args.size[1] // 16), args.size, mode='bicubic')
        labels = torch.zeros(model.cam_head.num_classes)
        labels[:args.present] = 1
        parts = model, image.to(device), labels.to(device)
        functions = [partial(our_cams, *parts, amp) for amp in (None, args.amp)]
        plain, low = (function() for function in functions)
        seconds = time_in_turns(functions, device, args.repeat)
        name = f'{config.split("/")[-1].removesuffix(".py")}, {args.size[0]} x {args.size[1]}'
        gap = float(np.abs(plain - low).mean())
        rows.append(result_row(f'CAMs of {name}, {args.amp}', 'float32', seconds[1], seconds[0], gap))
        rates = [f'{1 / statistics.median(taken):.3f}' for taken in seconds]
        table.add_row(name, *rates, f'{rows[-1]["ratio"]:.2f}x', f'{gap:.1e}')
    return table, rows


def compare_labels(config: str, size: tuple[int, int], args: argparse.Namespace) -> tuple[Table, list[dict]]:
    """Make labels with a dense CRF one step after the other, and with workers beside the network."""
    model, image, labels = (part.to(args.device) for part in example(config, size, args.present))
    workers = max(number_of_cores() - 1, 1) if args.workers is None else args.workers
    case = f'{config.split("/")[-1].removesuffix(".py")}, {size[0]} x {size[1]}'
    table = Table(title=f'labels with a dense CRF, {case}, {args.images} images, {number_of_cores()} cores')
    for heading in ('arrangement', 'images / s', 'ratio', 'cores used'):
        table.add_column(heading, justify='left' if heading == 'arrangement' else 'right')
    names = ('one step after the other', f'{counted(workers, "worker")} beside the network')
    found = [label_rounds(model, image, labels.nonzero().flatten(), count, args.images, args.repeat, amp=args.amp)
             for count in (0, workers)]
    plain = statistics.median(found[0].seconds)
    for name, rounds in zip(names, found):
        seconds = statistics.median(rounds.seconds)
        table.add_row(name, f'{args.images / seconds:.3f}', f'{plain / seconds:.2f}x',
                      f'{100 * statistics.median(rounds.utilization):.0f} %')
    changed = int(np.abs(found[0].pixels - found[1].pixels).sum())
    return table, [result_row(f'labels with a dense CRF, {case}, {names[1]}', names[0], found[1].seconds,
                              found[0].seconds, changed)]


def _work(config: str, size: tuple[int, int], args: argparse.Namespace, barrier: Any, times: Any) -> None:
    torch.set_num_threads(1)
    parts = example(config, size, args.present)
    our_cams(*parts)
    barrier.wait()
    start = time.perf_counter()
    for _ in range(args.repeat):
        our_cams(*parts)
    times.put(time.perf_counter() - start)


def images_per_second(config: str, size: tuple[int, int], args: argparse.Namespace) -> float:
    """Images a second of ``args.processes`` processes with a thread each, together."""
    context = multiprocessing.get_context('spawn')
    barrier, times = context.Barrier(args.processes), context.Queue()
    workers = [context.Process(target=_work, args=(config, size, args, barrier, times)) for _ in range(args.processes)]
    for worker in workers:
        worker.start()
    slowest = max(times.get(timeout=600) for _ in workers)
    for worker in workers:
        worker.join()
    return args.repeat * args.processes / slowest


def compare_cams(args: argparse.Namespace) -> tuple[Table, list[dict], float]:
    """Measure the maps of all cases; return a table, rows, and the largest difference between float32 results."""
    table = Table(title=f'CAMs of single images with {args.present} classes, {args.device}, {args.threads} '
                        f'threads, median of {args.repeat} rounds')
    for heading in ('config', 'arrangement', 'images / s', 'ratio', 'CPU s', 'ratio', 'peak MiB', 'ratio',
                    'difference'):
        table.add_column(heading, justify='left' if heading in ('config', 'arrangement') else 'right')
    rows, differences = [], []
    for config, size in (QUICK if args.quick else CASES).items():
        plain, *others = compare(config, size, args)
        base = statistics.median(plain['seconds'])
        name = f'{config.split("/")[-1].removesuffix(".py")}, {size[0]} x {size[1]}'
        table.add_row(name, 'plain', f'{1 / base:.3f}', '', f'{plain["processor"]:.2f}', '', f'{plain["mib"]:.0f}')
        for one in others:
            seconds, gap = statistics.median(one['seconds']), one['difference']
            table.add_row('', one['name'], f'{1 / seconds:.3f}', f'{base / seconds:.2f}x', f'{one["processor"]:.2f}',
                          f'{plain["processor"] / one["processor"]:.2f}x', f'{one["mib"]:.0f}',
                          f'{plain["mib"] / one["mib"]:.1f}x', f'{gap:.1e}')
            rows.append(result_row(f'CAMs of {name}, {one["name"]}', PLAIN, one['seconds'], plain['seconds'], gap,
                                   plain['mib'] / one['mib']))
        differences.append(others[0]['difference'])
        if args.processes:
            rate = images_per_second(config, size, args)
            table.add_row('', f'{args.processes} processes, 1 thread each', f'{rate:.3f}', f'{rate * base:.2f}x')
    return table, rows, max(differences)


def main() -> None:
    """Print images a second and memory, their ratios, and the largest difference; fail if the maps differ."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    console, worst = Console(width=150), 0.
    if args.photos:
        table, rows = measure_label_changes(args)
    elif args.configs:
        table, rows = compare_precisions(args)
    else:
        table, rows, worst = compare_cams(args)
    console.print(table)
    if args.post and not (args.photos or args.configs):
        for config, size in (QUICK if args.quick else CASES).items():
            table, found = compare_labels(config, size, args)
            console.print(table)
            rows += found
    write_rows(args.json, __file__, rows)
    if worst > TOLERANCE:
        raise SystemExit(f'the maps differ by {worst:.1e}, more than {TOLERANCE}.')


if __name__ == '__main__':
    run_tool(main)
