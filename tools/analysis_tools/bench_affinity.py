"""Compare AffinityNet's two heavy steps with plain arrangements: the loss of pairs in training, and the random walk.

The plain loss gathers the features of both cells of all pairs and keeps their differences; the plain walk fills a dense
matrix and squares it. Rounds alternate between the two, so that whatever else the machine does hits both.
"""

import argparse
from collections.abc import Callable

import torch
from measurements import add_measurement_arguments, medians, result_row, time_in_turns, write_rows
from rich.console import Console
from rich.table import Table
from torch import Tensor

from mmwsss.models import PairAffinityLoss
from mmwsss.models.utils import (
    dense_affinity,
    pair_affinity,
    pair_indices,
    pair_labels,
    random_walk,
    sparse_affinity,
)
from mmwsss.utils.errors import run_tool
from mmwsss.utils.memory import peak_memory

RADIUS = 5
TOLERANCE = 1e-4
Results = tuple[Tensor, ...]


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--batch', type=int, default=8, help='images in a batch of the loss')
    parser.add_argument('--channels', type=int, default=448)
    parser.add_argument('--grid', type=int, default=56, help='side of the features of a training crop')
    parser.add_argument('--size', type=int, nargs=2, default=(375, 500), metavar=('H', 'W'), help='of a walked image')
    parser.add_argument('--maps', type=int, default=3, help='maps that walk, the background among them')
    parser.add_argument('--log2-steps', type=int, nargs='+', default=(6, 8), metavar='N')
    parser.add_argument('--threads', type=int, default=2, help="torch's threads")
    parser.add_argument('--device', default='cpu')
    add_measurement_arguments(parser)
    return parser.parse_args()


def plain_affinity(features: Tensor) -> Tensor:
    """Compute affinities (B, P, N_from) of features (B, C, h, w) by gathering both cells of all pairs."""
    own, partners = pair_indices(features.shape[-2:], RADIUS, features.device)
    flat = features.flatten(2)
    ends = flat.index_select(2, partners.flatten()).unflatten(2, partners.shape)
    return torch.exp(-(ends - flat.index_select(2, own)[:, :, None]).abs().mean(dim=1))


def loss_and_gradient(affinity_fn: Callable[[Tensor], Tensor], features: Tensor, labels: Tensor) -> Results:
    """Run both passes of the loss; return the loss and the gradient of the features."""
    features = features.detach().requires_grad_()
    loss = PairAffinityLoss()(affinity_fn(features), pair_labels(labels, RADIUS))
    loss.backward()
    return loss.detach(), features.grad


@torch.no_grad()
def plain_walk(cams: Tensor, features: Tensor, log2_steps: int) -> Results:
    """Walk maps (K, h, w) by squaring a dense matrix."""
    weights = dense_affinity(pair_affinity(features), cams.shape[-2:])[0]**8
    transition = weights / weights.sum(dim=0, keepdim=True)
    for _ in range(log2_steps):
        transition = transition @ transition
    return ((cams.flatten(1) @ transition).view_as(cams), )


@torch.no_grad()
def our_walk(cams: Tensor, features: Tensor, log2_steps: int) -> Results:
    """Walk maps (K, h, w) as AffinityNet does."""
    affinity = sparse_affinity(pair_affinity(features)[0], cams.shape[-2:])
    return (random_walk(cams, affinity, 8, log2_steps), )


def measure(functions: list[Callable[[], Results]], device: torch.device, rounds: int) -> dict:
    """Compare a plain function with ours.

    Returns:
        dict: ``rounds`` of both in seconds, after one to warm up; their medians ``seconds``; ``mib`` of both at their
        peak; the largest ``difference`` of their results, as a share of the largest value.
    """
    plain, ours = (function() for function in functions)
    difference = max(float((a - b).abs().max() / a.abs().max()) for a, b in zip(plain, ours))
    mib = []
    for function in functions:
        with peak_memory(device) as peak:
            function()
        mib.append(peak.mib)
    taken = time_in_turns(functions, device, rounds)
    return dict(rounds=taken, seconds=medians(taken), mib=mib, difference=difference)


def cases(args: argparse.Namespace) -> dict[str, list[Callable[[], Results]]]:
    """Make the plain function and ours of every comparison, by its name."""
    torch.manual_seed(0)
    device = torch.device(args.device)
    features = torch.randn(args.batch, args.channels, args.grid, args.grid, device=device)
    blocks = -(-args.grid // 8)
    labels = torch.randint(0, 4, (args.batch, blocks, blocks), device=device)
    labels = labels.repeat_interleave(8, 1).repeat_interleave(8, 2)[:, :args.grid, :args.grid]
    labels = labels.masked_fill(features[:, 0] > 1, 255)
    found = {f"AffinityNet's pair loss and gradients, {tuple(features.shape)}": [
        lambda: loss_and_gradient(plain_affinity, features, labels),
        lambda: loss_and_gradient(pair_affinity, features, labels)]}
    grid = [-(-side // 8) for side in args.size]
    image = torch.randn(1, args.channels, *grid, device=device) / 4
    cams = torch.rand(args.maps, *grid, device=device)
    for steps in args.log2_steps:
        found[f'random walk of {2**steps} steps, {args.size[0]} x {args.size[1]}, {args.maps} maps'] = [
            lambda steps=steps: plain_walk(cams, image, steps), lambda steps=steps: our_walk(cams, image, steps)]
    return found


def main() -> None:
    """Print seconds and memory, their ratios, and the largest difference, relative; fail if results differ."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    table = Table(title=f'AffinityNet, {args.device}, {args.threads} threads, median of {args.repeat} rounds')
    for heading in ('step', 'arrangement', 'seconds', 'ratio', 'peak MiB', 'ratio', 'difference'):
        table.add_column(heading, justify='left' if heading in ('step', 'arrangement') else 'right')
    worst, rows = 0, []
    for name, functions in cases(args).items():
        found = measure(functions, device, args.repeat)
        (plain, ours), (plain_mib, our_mib) = found['seconds'], found['mib']
        worst = max(worst, found['difference'])
        rows.append(result_row(name, 'plain', *found['rounds'][::-1], found['difference'], plain_mib / our_mib))
        table.add_row(name, 'plain', f'{plain:.3f}', '', f'{plain_mib:.0f}')
        table.add_row('', 'mmwsss', f'{ours:.3f}', f'{plain / ours:.1f}x', f'{our_mib:.1f}',
                      f'{plain_mib / our_mib:.1f}x', f'{found["difference"]:.1e}')
    Console(width=150).print(table)
    write_rows(args.json, __file__, rows)
    if worst > TOLERANCE:
        raise SystemExit(f'the results differ by {worst:.1e}, more than {TOLERANCE}.')


if __name__ == '__main__':
    run_tool(main)
