"""Compare TransCAM's CAMs of an image with a plain arrangement of the same: images a second, peak memory, result.

The plain arrangement sends one view at a time through the network, keeps the attention of every head and block, stacks
and averages it afterward, and computes the maps of all classes.
"""

import argparse
import time
from collections.abc import Callable

import torch
from all_attention import pass_with_all_attention
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.table import Table
from torch import Tensor

from mmwsss.models import CAMClassifier
from mmwsss.models.utils import normalize_cams, resize_maps, resize_photos
from mmwsss.registry import MODELS
from mmwsss.utils.cli import read_config_file
from mmwsss.utils.errors import run_tool
from mmwsss.utils.memory import peak_memory


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', nargs='?', default='configs/transcam/transcam_conformer-s_voc.py')
    parser.add_argument('--size', type=int, nargs=2, default=(375, 500), metavar=('H', 'W'), help='of the image')
    parser.add_argument('--present', type=int, default=2, help='classes in the image')
    parser.add_argument('--repeats', type=int, default=1, help='the fastest of this many rounds counts')
    parser.add_argument('--device', default='cpu')
    return parser.parse_args()


@torch.no_grad()
def plain_cams(model: CAMClassifier, image: Tensor, present: Tensor) -> Tensor:
    """Compute the maps (1, P, H, W) of the classes present, view by view, with all attention kept.

    Args:
        model: With the settings of the published evaluation, but for the sizes of the views.
        image: (1, 3, H, W).
        present: (P,) indices of classes.
    """
    backbone, head = model.backbone, model.cam_head
    black, white = model.data_preprocessor.color_range()
    labels = torch.zeros(head.num_classes, 1, 1, device=image.device)
    labels[present] = 1
    total = 0
    for size in model.test_cfg['cams']['sizes']:
        for mirrored in (False, True):
            view = resize_photos(image, size, black, white)
            view = view.flip(-1) if mirrored else view
            features, attention = pass_with_all_attention(backbone, view)
            affinity = attention.mean(dim=2).sum(dim=1)[:, 1:, 1:]
            maps = head.conv_cls_head(features.maps[-1])
            maps = (affinity @ maps.flatten(2).transpose(1, 2)).transpose(1, 2).unflatten(2, maps.shape[2:])
            maps = resize_maps(maps, image.shape[-2:])[:, 1:] * labels
            total = total + (maps.flip(-1) if mirrored else maps)
    return normalize_cams(total, 'shifted_minmax').clamp(min=0)[:, present]


def fastest(functions: list[Callable[[], Tensor]], device: torch.device, repeats: int) -> list[float]:
    """Seconds of the fastest of ``repeats`` calls of each function, taken in turns."""
    rounds = []
    for _ in range(repeats):
        rounds.append([])
        for function in functions:
            start = time.perf_counter()
            function()
            if device.type == 'cuda':
                torch.cuda.synchronize(device)
            rounds[-1].append(time.perf_counter() - start)
    return [min(column) for column in zip(*rounds)]


def peak_mib(function: Callable[[], Tensor], device: torch.device) -> float:
    """Peak of tensor memory in a call, MiB."""
    with peak_memory(device) as peak:
        function()
    return peak.mib


def main() -> None:
    """Print times and memory, their ratios, and the largest difference."""
    args = parse_args()
    init_default_scope('mmwsss')
    cfg = read_config_file(args.config).model
    cfg.backbone.init_cfg = None
    device = torch.device(args.device)
    torch.manual_seed(0)
    model = MODELS.build(cfg).to(device).eval()
    small = torch.rand(1, 3, *(side // 16 for side in args.size)).to(device)
    black, white = model.data_preprocessor.color_range()
    image = torch.lerp(black, white, resize_maps(small, args.size))
    present = torch.arange(args.present, device=device)
    arrangements = {
        'one view at a time, all attention kept': lambda: plain_cams(model, image, present),
        'TransCAM': lambda: model.predict_cams(image, classes=present, scored_view=None)['cams']}
    plain, ours = (function() for function in arrangements.values())
    seconds = fastest(list(arrangements.values()), device, args.repeats)
    memory = [peak_mib(function, device) for function in arrangements.values()]
    title = f'{args.config}, {args.size[0]} x {args.size[1]}, {device}, {torch.get_num_threads()} threads'
    table = Table(title=title)
    for heading in ('arrangement', 'images / s', 'ratio', 'peak MiB', 'ratio'):
        table.add_column(heading, justify='left' if heading == 'arrangement' else 'right')
    for name, time_, mib in zip(arrangements, seconds, memory):
        table.add_row(name, f'{1 / time_:.3f}', f'{seconds[0] / time_:.2f}', f'{mib:.0f}', f'{memory[0] / mib:.2f}')
    console = Console()
    console.print(table)
    console.print(f'largest difference of a map: {(plain - ours).abs().max():.1e}')


if __name__ == '__main__':
    run_tool(main)
