"""Compare PixelAdaptiveRefinement with arrangements that copy every neighbor: time, peak memory and difference."""

import argparse
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from measurements import add_measurement_arguments, medians, result_row, time_in_turns, write_rows
from rich.console import Console
from rich.table import Table
from torch import Tensor

from mmwsss.models import PixelAdaptiveRefinement
from mmwsss.utils.errors import run_tool
from mmwsss.utils.memory import peak_memory

DILATIONS = (1, 2, 4, 8, 12, 24)
STEPS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]
OFFSETS = [(d * dy, d * dx) for d in DILATIONS for dy, dx in STEPS]
REACH = max(DILATIONS)
TOLERANCE = 1e-5


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--size', type=int, default=224, help='side of the image')
    parser.add_argument('--planes', type=int, default=3, help='score planes per image')
    parser.add_argument('--batch', type=int, default=1, help='number of images')
    parser.add_argument('--iters', type=int, default=10, help='iterations of the refinement')
    parser.add_argument('--threads', type=int, help="torch's threads (default: torch's own choice)")
    parser.add_argument('--device', default='cpu')
    add_measurement_arguments(parser)
    return parser.parse_args()


def gather_by_index(planes: Tensor) -> Tensor:
    """Copy the 48 neighbors of every pixel with one index table. (B, M, 48, H, W)."""
    height, width = planes.shape[-2:]
    offsets = torch.tensor(OFFSETS, device=planes.device)
    rows = (torch.arange(height, device=planes.device) + offsets[:, :1]).clamp_(0, height - 1)
    cols = (torch.arange(width, device=planes.device) + offsets[:, 1:]).clamp_(0, width - 1)
    return planes[:, :, rows[:, :, None], cols[:, None, :]]


def stack_slices(planes: Tensor) -> Tensor:
    """Copy the 48 neighbors of every pixel by padding, slicing and stacking. (B, M, 48, H, W)."""
    height, width = planes.shape[-2:]
    padded = F.pad(planes, (REACH, ) * 4, mode='replicate')
    return torch.stack([padded[..., REACH + dy:REACH + dy + height, REACH + dx:REACH + dx + width]
                        for dy, dx in OFFSETS], dim=2)


def convolve_one_hot(planes: Tensor) -> Tensor:
    """Copy the 48 neighbors of every pixel by a convolution with one-hot kernels per dilation."""
    batch, channels, height, width = planes.shape
    kernels = torch.zeros(8, 1, 3, 3, device=planes.device)
    for index, (dy, dx) in enumerate(STEPS):
        kernels[index, 0, dy + 1, dx + 1] = 1
    singles = planes.reshape(batch * channels, 1, height, width)
    copies = [F.conv2d(F.pad(singles, (d, ) * 4, mode='replicate'), kernels, dilation=d) for d in DILATIONS]
    return torch.cat(copies, dim=1).view(batch, channels, len(OFFSETS), height, width)


def refine_copies(images: Tensor, masks: Tensor, iters: int, neighbors: Callable) -> Tensor:
    """Refine with all neighbors copied, image and masks alike, in whole-tensor operations."""
    values = neighbors(images)
    scaled = (values - images.unsqueeze(2)).abs() / (values.std(2, keepdim=True) + 1e-8) / 0.3
    color = (-scaled**2).mean(1, keepdim=True)
    distance = torch.tensor(OFFSETS, dtype=images.dtype, device=images.device).norm(dim=1)
    position = -(distance / (distance.std() + 1e-8) / 0.3)**2
    weights = color.softmax(2) + 0.01 * position.softmax(0).view(1, 1, -1, 1, 1)
    for _ in range(iters):
        masks = (neighbors(masks) * weights).sum(2)
    return masks


@torch.no_grad()
def benchmark_par(args: argparse.Namespace) -> list[dict]:
    """Measure every arrangement on the same random images.

    Returns:
        list[dict]: Per arrangement ``name``, ``rounds`` in seconds, their median ``seconds``, ``mib`` and the largest
        ``difference`` from the first, which is ours.
    """
    device = torch.device(args.device)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(args.batch, 3, args.size, args.size, generator=generator).to(device)
    masks = torch.rand(args.batch, args.planes, args.size, args.size, generator=generator).to(device)
    par = PixelAdaptiveRefinement(DILATIONS, args.iters)
    rows = {'PixelAdaptiveRefinement': partial(par, images, masks)}
    for name, neighbors in (('by index', gather_by_index), ('slices stacked', stack_slices),
                             ('one-hot convolutions', convolve_one_hot)):
        rows[f'48-fold gather, {name}'] = partial(refine_copies, images, masks, args.iters, neighbors)
    results, ours = [], rows['PixelAdaptiveRefinement']()
    rounds = time_in_turns(list(rows.values()), device, args.repeat)
    for (name, function), taken, seconds in zip(rows.items(), rounds, medians(rounds)):
        with peak_memory(device) as peak:
            difference = (function() - ours).abs().max().item()
        results.append(dict(name=name, rounds=taken, seconds=seconds, mib=peak.mib, difference=difference))
    return results


def main() -> None:
    """Print times, peaks and their ratios; fail if the results differ."""
    args = parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    results = benchmark_par(args)
    table = Table(title=f'PAR, {args.batch} image(s) of {args.size}x{args.size}, {args.planes} planes, {args.iters} '
                        f'iterations, {args.device}, {torch.get_num_threads()} threads')
    for column in ('arrangement', 'ms', 'time ratio', 'peak MiB', 'memory ratio', 'largest difference'):
        table.add_column(column, justify='left' if column == 'arrangement' else 'right')
    ours = results[0]
    for row in results:
        table.add_row(row['name'], f'{1000 * row["seconds"]:.1f}', f'{row["seconds"] / ours["seconds"]:.1f}x',
                      f'{row["mib"]:.1f}', f'{row["mib"] / ours["mib"]:.1f}x', f'{row["difference"]:.1e}')
    Console(width=120).print(table)
    what = f'pixel-adaptive refinement, {args.size}, {args.planes} planes'
    write_rows(args.json, __file__, [
        result_row(what, row['name'], ours['rounds'], row['rounds'], row['difference'], row['mib'] / ours['mib'])
        for row in results[1:]])
    worst = max(row['difference'] for row in results)
    if worst > TOLERANCE:
        raise SystemExit(f'the arrangements differ by {worst:.1e}, more than {TOLERANCE}.')


if __name__ == '__main__':
    run_tool(main)
