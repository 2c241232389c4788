"""Compare AReAM's iteration with a plain arrangement of the same: peak memory, time, losses, gradients.

The plain arrangement keeps what every head of every layer computes, products before softmax and probabilities, stacks
and averages it afterward, as code that was released for such methods does.
"""

import argparse
import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from all_attention import pass_with_all_attention
from measurements import add_measurement_arguments, medians, result_row, time_in_turns, write_rows
from mmengine.logging import MessageHub
from mmengine.registry import init_default_scope
from mmseg.structures import SegDataSample
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from mmwsss.models import CAMClassifier, LabelBatch, Request, extract_features
from mmwsss.models.backbones import QueryKeys
from mmwsss.models.utils import (
    normalize_cams,
    reactivated_cams,
    reactivation_weights,
    resize_maps,
    token_affinity_labels,
    valid_boxes,
)
from mmwsss.registry import MODELS
from mmwsss.utils.cli import read_config_file
from mmwsss.utils.errors import run_tool
from mmwsss.utils.memory import peak_memory


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', nargs='?', default='configs/aream/aream_deit-s_voc.py')
    parser.add_argument('--batch', type=int, default=1, help='images in the batch')
    parser.add_argument('--size', type=int, help="side of the images (default: the config's)")
    parser.add_argument('--device', default='cpu')
    add_measurement_arguments(parser)
    return parser.parse_args()


def patch_part(maps: Tensor, num_tokens: int) -> Tensor:
    """Average what all heads (B, L, heads, T, T) of all layers gave, and cut: (B, L, N, N)."""
    return maps.mean(dim=2)[:, :, num_tokens:, num_tokens:]


@torch.no_grad()
def plain_view(model: CAMClassifier, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the re-activated maps (B, C, h, w) and the weights (B, L) of the layers' losses."""
    backbone, head = model.backbone, model.cam_head
    features, attention = pass_with_all_attention(backbone, images)
    num_tokens = backbone.num_extra_tokens
    last = attention[:, -head.attention_layers:].mean(dim=(1, 2))[:, :num_tokens, num_tokens:]
    cams = head.patch_classifier(features.maps[-1]).relu() * last.unflatten(2, features.grid)
    cams = normalize_cams(cams * labels[:, :, None, None], 'minmax', eps=1e-6)
    affinities = patch_part(attention, num_tokens)
    weights, counterparts = reactivation_weights(cams, affinities, labels)
    return reactivated_cams(cams, affinities, weights), counterparts


def plain_losses(model: CAMClassifier, images: Tensor, samples: list) -> dict[str, Tensor]:
    """Compute the losses of an iteration, ``loss_cls``, ``loss_patch`` and ``loss_affinity``, with everything kept."""
    mechanism, size = model.auxiliary['reactivation'], images.shape[-2:]
    labels = torch.stack([sample.gt_label for sample in samples]).to(images)
    backbone = model.backbone
    layers = QueryKeys(grad=True)
    student = extract_features(backbone, images, Request(observations=(layers, )))
    products = torch.stack([query @ key.transpose(-2, -1) for query, key in student[layers]], dim=1)
    scores = {'logits': student.class_tokens.mean(dim=2),
              'patch_logits': model.cam_head.patch_classifier(student.maps[-1]).mean(dim=(2, 3))}
    model.eval()
    maps, counterparts = plain_view(model, images, labels)
    mirrored, _ = plain_view(model, images.flip(-1), labels)
    model.train()
    cams = normalize_cams(resize_maps(maps, size) + resize_maps(mirrored, size).flip(-1), 'minmax', eps=1e-6)
    pseudo = mechanism.label_pipeline(LabelBatch.from_cams(images, cams, labels, valid_boxes(samples, images)))
    tokens = F.interpolate(pseudo[:, None].float(), size=maps.shape[-2:], mode='nearest')[:, 0]
    pairs = token_affinity_labels(tokens.long(), include_diagonal=True)
    losses = {f'loss_{term}': value for term, value in model.classification_losses(scores, labels).items()}
    logits = patch_part(products, backbone.num_extra_tokens)
    return {**losses, 'loss_affinity': mechanism.weight * plain_affinity_loss(logits, pairs, counterparts)}


def plain_affinity_loss(logits: Tensor, pairs: Tensor, counterparts: Tensor) -> Tensor:
    """Eq. 18 and 19 as they are written, with one more in either count."""
    scores = logits.sigmoid()
    same, different = ((pairs == value)[:, None].float() for value in (1, 0))
    costs = ((1 - scores) * same).sum((2, 3)) / (same.sum((2, 3)) + 1)
    costs = costs + (scores * different).sum((2, 3)) / (different.sum((2, 3)) + 1)
    return (counterparts * costs).sum(dim=1).mean()


def example(num_classes: int, size: int, batch: int, device: str) -> tuple[Tensor, list]:
    """Make smooth random images and samples with two classes each."""
    generator = torch.Generator().manual_seed(0)
    small = torch.rand(batch, 3, size // 16, size // 16, generator=generator).to(device)
    samples = []
    for i in range(batch):
        sample = SegDataSample(metainfo=dict(valid_box=(0, size, 0, size - 16)))
        sample.gt_label = torch.zeros(num_classes)
        sample.gt_label[[i % num_classes, (i + 2) % num_classes]] = 1
        samples.append(sample)
    return F.interpolate(small, size=size, mode='bicubic') * 4 - 2, samples


def peak_and_losses(losses: Callable[[], dict[str, Tensor]], device: str) -> tuple[float, dict]:
    """Return the peak MiB of losses and backward pass, and the losses; their gradients stay in the model."""
    with peak_memory(device) as peak:
        found = losses()
        total(found).backward()
    return peak.mib, {name: value.detach() for name, value in found.items()}


def iterate(model: CAMClassifier, losses: Callable[[], dict[str, Tensor]]) -> None:
    """Run one iteration up to the gradients."""
    model.zero_grad()
    total(losses()).backward()


def total(losses: dict[str, Tensor]) -> Tensor:
    """Add up what is trained."""
    return sum(value for name, value in losses.items() if name.startswith('loss'))


def main() -> None:
    """Print peak memory, time and their ratios, and the largest differences."""
    args = parse_args()
    init_default_scope('mmwsss')
    cfg = read_config_file(args.config).model
    cfg.backbone.update(init_cfg=None, drop_path_rate=0.)  # so that both compute the same
    torch.manual_seed(0)
    model = MODELS.build(cfg).to(args.device).train()
    model.init_weights()
    twin = copy.deepcopy(model)
    MessageHub.get_current_instance().update_info_dict(dict(epoch=10**6, iter=10**6))
    images, samples = example(
        model.cam_head.num_classes, args.size or cfg.data_preprocessor['size'][0], args.batch, args.device)

    arrangements = {twin: lambda: plain_losses(twin, images, samples), model: lambda: model.loss(images, samples)}
    (plain_mib, expected), (mib, found) = (peak_and_losses(losses, args.device) for losses in arrangements.values())
    loss_gap = max(float((found[name] - value).abs()) for name, value in expected.items())
    grad_gap = max(float((a.grad - b.grad).norm() / b.grad.norm().clamp(min=1e-12))
                   for a, b in zip(model.parameters(), twin.parameters()) if b.grad is not None)
    rounds = time_in_turns([partial(iterate, *pair) for pair in arrangements.items()], args.device, args.repeat, False)
    plain_seconds, seconds = medians(rounds)
    table = Table(title=f'{args.config}, {tuple(images.shape)}, {args.device}, {torch.get_num_threads()} threads')
    for heading in ('arrangement', 'peak MiB', 'ratio', 's / iteration', 'ratio'):
        table.add_column(heading, justify='left' if heading == 'arrangement' else 'right')
    table.add_row('all heads kept', f'{plain_mib:.0f}', '1.00', f'{plain_seconds:.2f}', '1.00')
    table.add_row('AReAM', f'{mib:.0f}', f'{plain_mib / mib:.2f}', f'{seconds:.2f}', f'{plain_seconds / seconds:.2f}')
    what = f"AReAM's iteration, {Path(args.config).stem}, {images.shape[-1]}, batch {args.batch}"
    write_rows(args.json, __file__, [result_row(
        what, 'attention of all heads kept', *rounds[::-1], max(loss_gap, grad_gap), plain_mib / mib)])
    console = Console()
    console.print(table)
    console.print(f'largest difference of a loss: {loss_gap:.1e}; of a gradient, relative to its norm: {grad_gap:.1e}')


if __name__ == '__main__':
    run_tool(main)
