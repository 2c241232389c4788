"""Compare MCTformer's CAMs of an image with a plain arrangement of them: images a second, peak memory, result.

The plain arrangement sends the image and its mirror image through the network one after the other, keeps the attention
of every head and layer, stacks and averages it afterward, repeats the affinity for every class, and enlarges the maps
of all classes. Weights are random. Rounds alternate between the two, so that whatever else the machine does hits both.
"""

import argparse
import multiprocessing
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from all_attention import pass_with_all_attention
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from mmwsss.apis import cams_at_image_size
from mmwsss.models import CAMClassifier
from mmwsss.registry import MODELS
from mmwsss.utils.cli import read_config_file
from mmwsss.utils.errors import run_tool
from mmwsss.utils.memory import peak_memory

CASES = {
    'configs/mctformer/mctformer-v2_deit-s_voc.py': (375, 500),
    'configs/mctformer/mctformer-v2_deit-s_coco.py': (480, 640)
}
QUICK = {'configs/mctformer/mctformer-v2_vit-micro_sample.py': (72, 90)}
TOLERANCE = 1e-4


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--present', type=int, default=2, help='classes in the image')
    parser.add_argument('--rounds', type=int, default=7, help='the median of this many counts, after one to warm up')
    parser.add_argument('--threads', type=int, default=2, help="torch's threads")
    parser.add_argument('--processes', type=int, default=0, metavar='N',
                        help='also measure N processes of one thread each that run ours side by side, on a CPU')
    parser.add_argument('--quick', action='store_true', help='a small model and image')
    parser.add_argument('--device', default='cpu')
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


def our_cams(model: CAMClassifier, image: Tensor, labels: Tensor) -> np.ndarray:
    """Compute the maps (P, H, W) of the classes present as ``make_pseudo_labels`` does."""
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


def measure(functions: list[Callable[[], Any]], device: torch.device, rounds: int) -> np.ndarray:
    """Seconds on the clock and of the processor, the medians (number of functions, 2), taken in turns."""
    found = np.zeros((rounds + 1, len(functions), 2))
    for taken in found:
        for seconds, function in zip(taken, functions):
            start = np.array([time.perf_counter(), time.process_time()])
            function()
            if device.type == 'cuda':
                torch.cuda.synchronize(device)
            seconds[:] = np.array([time.perf_counter(), time.process_time()]) - start
    return np.median(found[1:], axis=0)


def compare(config: str, size: tuple[int, int], args: argparse.Namespace) -> dict:
    """Measure both arrangements.

    Returns:
        dict: ``seconds`` on the clock and of the processor, (2, 2), ours last; ``mib`` of both; the largest
        ``difference`` of a map.
    """
    device = torch.device(args.device)
    model, image, labels = (part.to(device) for part in example(config, size, args.present))
    functions = [lambda: plain_cams(model, image, labels), lambda: our_cams(model, image, labels)]
    plain, ours = (function() for function in functions)
    mib = []
    for function in functions:
        with peak_memory(device) as peak:
            function()
        mib.append(peak.mib)
    return dict(seconds=measure(functions, device, args.rounds), mib=mib, difference=np.abs(plain - ours).max())


def _work(config: str, size: tuple[int, int], args: argparse.Namespace, barrier: Any, times: Any) -> None:
    torch.set_num_threads(1)
    parts = example(config, size, args.present)
    our_cams(*parts)
    barrier.wait()
    start = time.perf_counter()
    for _ in range(args.rounds):
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
    return args.rounds * args.processes / slowest


def main() -> None:
    """Print images a second and memory, their ratios, and the largest difference; fail if the maps differ."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    table = Table(title=f'CAMs of single images with {args.present} classes, {args.device}, {args.threads} '
                        f'threads, median of {args.rounds} rounds')
    for heading in ('config', 'arrangement', 'images / s', 'ratio', 'CPU s', 'ratio', 'peak MiB', 'ratio',
                    'difference'):
        table.add_column(heading, justify='left' if heading in ('config', 'arrangement') else 'right')
    differences = []
    for config, size in (QUICK if args.quick else CASES).items():
        found = compare(config, size, args)
        (plain, plain_cpu), (ours, ours_cpu) = found['seconds']
        mib = found['mib']
        differences.append(found['difference'])
        name = f'{config.split("/")[-1].removesuffix(".py")}, {size[0]} x {size[1]}'
        table.add_row(name, 'plain', f'{1 / plain:.3f}', '', f'{plain_cpu:.2f}', '', f'{mib[0]:.0f}')
        table.add_row('', 'mmwsss', f'{1 / ours:.3f}', f'{plain / ours:.2f}x', f'{ours_cpu:.2f}',
                      f'{plain_cpu / ours_cpu:.2f}x', f'{mib[1]:.0f}', f'{mib[0] / mib[1]:.1f}x',
                      f'{differences[-1]:.1e}')
        if args.processes:
            rate = images_per_second(config, size, args)
            table.add_row('', f'{args.processes} processes, 1 thread each', f'{rate:.3f}', f'{rate * plain:.2f}x')
    Console(width=150).print(table)
    if max(differences) > TOLERANCE:
        raise SystemExit(f'the maps differ by {max(differences):.1e}, more than {TOLERANCE}.')


if __name__ == '__main__':
    run_tool(main)
