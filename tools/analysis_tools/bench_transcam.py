"""Compare TransCAM's CAMs of an image with a plain arrangement of the same: images a second, peak memory, result.

The plain arrangement sends one view at a time through the network, keeps the attention of every head and block, stacks
and averages it afterward, and computes the maps of all classes. Rounds alternate between the arrangements.
"""

import argparse
from collections.abc import Callable
from typing import Optional

import torch
from all_attention import pass_with_all_attention
from measurements import add_measurement_arguments, medians, result_row, time_in_turns, write_rows
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.table import Table
from torch import Tensor

from mmwsss.models import CAMClassifier, backbone_precision
from mmwsss.models.utils import normalize_cams, resize_maps, resize_photos
from mmwsss.registry import MODELS
from mmwsss.utils.cli import add_amp_argument, read_config_file
from mmwsss.utils.errors import run_tool
from mmwsss.utils.memory import peak_memory

PLAIN = 'one view at a time, all attention kept'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', nargs='?', default='configs/transcam/transcam_conformer-s_voc.py')
    parser.add_argument('--size', type=int, nargs=2, default=(375, 500), metavar=('H', 'W'), help='of the image')
    parser.add_argument('--present', type=int, default=2, help='classes in the image')
    parser.add_argument('--threads', type=int, help="torch's threads")
    add_amp_argument(parser)
    add_measurement_arguments(parser)
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


def peak_mib(function: Callable[[], Tensor], device: torch.device) -> float:
    """Peak of tensor memory in a call, MiB."""
    with peak_memory(device) as peak:
        function()
    return peak.mib


def our_cams(model: CAMClassifier, image: Tensor, present: Tensor, amp: Optional[str] = None) -> Tensor:
    """Compute the maps (1, P, H, W) of the classes present as ``make_pseudo_labels`` does."""
    with backbone_precision(model, amp):
        return model.predict_cams(image, classes=present, scored_view=None)['cams']


def example(args: argparse.Namespace) -> tuple[CAMClassifier, Tensor, Tensor]:
    """Make a model with random weights, a smooth image (1, 3, H, W) and classes (P,), those with the largest maps."""
    init_default_scope('mmwsss')
    cfg = read_config_file(args.config).model
    cfg.backbone.init_cfg = None
    torch.manual_seed(0)
    model = MODELS.build(cfg).to(args.device).eval()
    small = torch.rand(1, 3, *(side // 16 for side in args.size)).to(args.device)
    black, white = model.data_preprocessor.color_range()
    image = torch.lerp(black, white, resize_maps(small, args.size))
    present = model.extract_cams(image)['cams'].mean(dim=(0, 2, 3)).topk(args.present).indices
    return model, image, present.sort().values


def main() -> None:
    """Print times and memory, their ratios, and the largest difference."""
    args = parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    device, parts = torch.device(args.device), example(args)
    arrangements = {PLAIN: lambda: plain_cams(*parts), 'TransCAM': lambda: our_cams(*parts)}
    if args.amp:
        arrangements[f'TransCAM, {args.amp}'] = lambda: our_cams(*parts, args.amp)
    maps = {name: function() for name, function in arrangements.items()}
    seconds = time_in_turns(list(arrangements.values()), device, args.repeat)
    times = medians(seconds)
    memory = [peak_mib(function, device) for function in arrangements.values()]
    gaps = [float((maps[PLAIN] - other).abs().max()) for other in maps.values()]
    case = f'{args.size[0]} x {args.size[1]}'
    table = Table(title=f'{args.config}, {case}, {device}, {torch.get_num_threads()} threads')
    for heading in ('arrangement', 'images / s', 'ratio', 'peak MiB', 'ratio', 'difference'):
        table.add_column(heading, justify='left' if heading == 'arrangement' else 'right')
    for name, time_, mib, gap in zip(arrangements, times, memory, gaps):
        table.add_row(name, f'{1 / time_:.3f}', f'{times[0] / time_:.2f}', f'{mib:.0f}', f'{memory[0] / mib:.2f}',
                      f'{gap:.1e}')
    Console(width=120).print(table)
    write_rows(args.json, __file__, [
        result_row(f'CAMs of {name}, {case}', PLAIN, seconds[k], seconds[0], gaps[k], memory[0] / memory[k])
        for k, name in enumerate(arrangements) if k])


if __name__ == '__main__':
    run_tool(main)
