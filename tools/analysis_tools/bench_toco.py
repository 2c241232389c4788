"""Compare ToCo's iteration with a plain arrangement of the same maths: time, losses and gradients.

The plain arrangement runs every pass on its own: three no-gradient passes for CAMs, the decoder included; the
main image; both global views for the student and again for the teacher; the local views. It refines pseudo labels by
threshold and image, and copies neighbors 48-fold. With ``--no-grad-dtype``, ToCo is measured once more with
``train_cfg.no_grad_dtype``; that changes class maps by rounding, and losses where a pseudo label changes.
"""

import argparse
import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Optional

import torch
from bench_par import DILATIONS, refine_copies, stack_slices
from measurements import add_measurement_arguments, medians, result_row, time_in_turns, write_rows
from mmengine.logging import MessageHub
from mmengine.registry import init_default_scope
from mmseg.structures import SegDataSample
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

from mmwsss.models import LabelBatch, LabelPipeline, LabelStep, PixelAdaptiveRefinement, ToCo, extract_features
from mmwsss.models.utils import (
    cams_to_labels,
    cams_to_roi,
    crop_windows,
    mask_outside_boxes,
    normalize_cams,
    quantize_colors,
    resize_maps,
    sample_local_windows,
    token_affinity_labels,
)
from mmwsss.registry import MODELS
from mmwsss.utils.cli import read_config_file
from mmwsss.utils.errors import run_tool

PASSES = ('main', 'global2')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', nargs='?', default='configs/toco/toco_vit-b_voc.py')
    parser.add_argument('--batch', type=int, default=1, help='images in the batch')
    parser.add_argument('--no-grad-dtype', choices=['bfloat16', 'float16'],
                        help='measure the passes without gradient in this precision as well')
    parser.add_argument('--device', default='cpu')
    add_measurement_arguments(parser)
    return parser.parse_args()


def plain_losses(model: ToCo, views: dict[str, Tensor], samples: list,
                 pipeline: Optional[LabelPipeline] = None) -> dict[str, Tensor]:
    """Compute ToCo's losses, unweighted, with every pass on its own, all classes, and no result used twice.

    Args:
        model: The model, in a phase in which all terms count.
        views: ``main``, ``global2`` and ``local``, each (B, 3, S, S).
        samples: With ``gt_label``, and ``valid_box`` and ``sample_seed`` in the metainfo.
        pipeline: In place of the model's own for pseudo labels.

    Returns:
        ``cls``, ``aux``, ``ctc``, ``ptc``, ``seg`` and ``reg``.
    """
    images, cfg = views['main'], model.train_cfg
    labels = torch.stack([sample.gt_label for sample in samples]).to(images)
    boxes = torch.tensor([list(sample.metainfo['valid_box']) for sample in samples], device=images.device)
    low, high, size = cfg['low'], cfg['high'], cfg['local_crop_size']
    cams, aux_cams = plain_cams(model, images)
    seeds = [sample.metainfo['sample_seed'] for sample in samples]
    corners, positive = sample_local_windows(
        cams_to_roi(aux_cams, labels, low, high), size, cfg['num_local_crops'], seeds=seeds)

    student_pass = extract_features(model.backbone, images, model.cam_head.request())
    features = student_pass.maps[-1]
    logits = model.cam_head(student_pass)
    soft_margin = nn.MultiLabelSoftMarginLoss()
    losses = dict(cls=soft_margin(logits['logits'], labels), aux=soft_margin(logits['aux_logits'], labels))
    globals_ = torch.cat([views[name] for name in PASSES])
    local = crop_windows(views['local'], corners, size).transpose(0, 1).flatten(0, 1)
    student = torch.cat([encode(model, globals_)[0], encode(model, local)[0]])
    student = model.projector(student).unflatten(0, (-1, len(images))).transpose(0, 1)
    with torch.no_grad():
        teacher = model.teacher_projector(encode(model, globals_)[0]).unflatten(0, (2, -1)).transpose(0, 1)
    losses['ctc'] = model.loss_ctc(student, teacher, F.pad(positive, (2, 0), value=True))
    token_labels = cams_to_labels(resize(aux_cams, features.shape[-2:]), labels, low, high, boxes)
    losses['ptc'] = model.loss_ptc(features, token_affinity_labels(token_labels))
    rgb = model.data_preprocessor.denormalize(images)
    masked = cams * labels[:, :, None, None]
    pseudo = plain_pseudo_labels(pipeline or model.label_pipeline, rgb, masked, labels, boxes)
    seg_logits = resize(model.decode_head([features]), images.shape[-2:])
    losses['seg'] = model.decode_head.loss_decode(seg_logits, pseudo)
    rois = mask_outside_boxes(torch.ones_like(images[:, 0]), boxes, 0)
    losses['reg'] = model.loss_reg(rgb, seg_logits.softmax(1), rois, pseudo)
    return losses


def resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize maps (B, C, h, w) bilinearly."""
    return F.interpolate(maps, size=tuple(size), mode='bilinear', align_corners=False)


def encode(model: ToCo, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return class token (B, D), last tokens and auxiliary tokens (B, D, h, w) of one pass."""
    features = extract_features(model.backbone, images, model.cam_head.request())
    return features.class_tokens[:, 0], features.maps[-1], *features.hidden.values()


@torch.no_grad()
def plain_cams(model: ToCo, images: Tensor) -> list[Tensor]:
    """Compute final and auxiliary maps (B, C, S, S) of all classes, a full pass with decoder for every scale."""
    size = images.shape[-2:]
    sums = [0, 0]
    for scale in model.train_cfg['cams']['scales']:
        scaled = resize(images, [int(scale * side) for side in size])
        _, last, aux = encode(model, torch.cat([scaled, scaled.flip(-1)]))
        model.decode_head([last])
        heads = ((last, model.cam_head.classifier), (aux, model.cam_head.aux_classifier))
        for i, (features, classifier) in enumerate(heads):
            maps, mirrored = resize(classifier(features), size).chunk(2)
            sums[i] = sums[i] + torch.maximum(maps, mirrored.flip(-1)).relu()
    return [normalize_cams(maps, 'minmax') for maps in sums]


def plain_pseudo_labels(pipeline: LabelPipeline, rgb: Tensor, cams: Tensor, labels: Tensor, boxes: Tensor) -> Tensor:
    """Make pseudo labels (B, H, W) image by image."""
    images = quantize_colors(rgb)
    ones = (slice(i, i + 1) for i in range(len(images)))
    return torch.cat([pipeline(LabelBatch.from_cams(images[i], cams[i], labels[i], boxes[i])) for i in ones])


class PlainRefinement(LabelStep):
    """Refine the planes of the two background levels one after the other, with all neighbors copied."""

    def __init__(self, num_iters: int) -> None:
        self.num_iters = num_iters

    def transform(self, batch: LabelBatch) -> LabelBatch:
        """Return the batch with refined scores."""
        images = resize_maps(batch.images, batch.scores.shape[-2:])
        levels = [refine_copies(images, level, self.num_iters, stack_slices) for level in batch.scores.unbind(1)]
        return replace(batch, scores=torch.stack(levels, dim=1))


def plain_pipeline(model: ToCo) -> LabelPipeline:
    """Build the label pipeline of a model with :class:`PlainRefinement` in place of its own, where they are equal."""
    own = model.label_pipeline
    steps = [PlainRefinement(step.num_iters)
             if isinstance(step, PixelAdaptiveRefinement) and step.dilations == DILATIONS else step
             for step in own.steps]
    return LabelPipeline(steps, own.labeler)


def example(cfg: dict, size: int, batch: int, device: str) -> tuple[dict[str, Tensor], list]:
    """Make smooth random views and samples with two classes each."""
    generator = torch.Generator().manual_seed(0)
    num_classes = cfg['cam_head']['num_classes']
    small = torch.rand(3, batch, 3, size // 16, size // 16, generator=generator).to(device)
    views = [F.interpolate(view, size=size, mode='bicubic') * 4 - 2 for view in small]
    samples = []
    for i in range(batch):
        sample = SegDataSample(metainfo=dict(valid_box=(0, size, 0, size - 16), sample_seed=i, ori_shape=(size, size)))
        sample.gt_label = torch.zeros(num_classes)
        sample.gt_label[[i % num_classes, (i + 2) % num_classes]] = 1
        samples.append(sample)
    return dict(zip(('main', 'global2', 'local'), views)), samples


def iterate(model: ToCo, losses: Callable[[], dict[str, Tensor]]) -> None:
    """Run one iteration up to the gradients, which stay in the model."""
    model.zero_grad()
    sum(losses().values()).backward()


def our_losses(model: ToCo, views: dict[str, Tensor], samples: list, no_grad_dtype: Optional[str]) -> dict[str, Tensor]:
    """Compute the weighted losses of an iteration."""
    model.train_cfg['no_grad_dtype'] = no_grad_dtype
    return {name: value for name, value in model.loss(views, samples).items() if name.startswith('loss')}


def gaps(ways: dict[str, tuple[ToCo, Callable]]) -> dict[str, tuple[float, float]]:
    """Return by way the largest difference of a loss, and of a gradient relative to its norm, from the first way."""
    found = {}
    for name, (model, losses) in ways.items():
        model.zero_grad()
        values = losses()
        sum(values.values()).backward()
        found[name] = ({term: value.item() for term, value in values.items()},
                       [param.grad.clone() for param in model.parameters() if param.grad is not None])
    terms, grads = next(iter(found.values()))
    return {name: (max(abs(value - terms[term]) for term, value in other.items()),
                   max(float((a - b).norm() / b.norm().clamp(min=1e-12)) for a, b in zip(other_grads, grads)))
            for name, (other, other_grads) in found.items()}


def main() -> None:
    """Print times, their ratios and the largest differences."""
    args = parse_args()
    init_default_scope('mmwsss')
    cfg = read_config_file(args.config).model
    cfg.backbone.init_cfg = None
    device = torch.device(args.device)
    torch.manual_seed(0)
    model = MODELS.build(cfg).to(device)
    views, samples = example(cfg, cfg.data_preprocessor['size'][0], args.batch, device)
    MessageHub.get_current_instance().update_info('iter', 10**6)
    weights = model.schedule.at(10**6)
    twin = copy.deepcopy(model)

    def plain() -> dict[str, Tensor]:
        bare = plain_losses(twin, views, samples, plain_pipeline(twin))
        return {f'loss_{name}': weights[name] * value for name, value in bare.items()}

    ways = {'every pass on its own': (twin, plain), 'ToCo': (model, partial(our_losses, model, views, samples, None))}
    if args.no_grad_dtype:
        ways[f'ToCo, {args.no_grad_dtype} without gradient'] = (
            model, partial(our_losses, model, views, samples, args.no_grad_dtype))
    found = gaps(ways)
    rounds = time_in_turns([partial(iterate, *way) for way in ways.values()], device, args.repeat, warm_up=False)
    table = Table(title=f'{args.config}, batch {args.batch}, {device}, {torch.get_num_threads()} threads')
    for heading in ('arrangement', 's / iteration', 'ratio', 'difference of a loss', 'of a gradient'):
        table.add_column(heading, justify='left' if heading == 'arrangement' else 'right')
    slowest = medians(rounds)[0]
    for (name, (loss_gap, grad_gap)), seconds in zip(found.items(), medians(rounds)):
        table.add_row(name, f'{seconds:.2f}', f'{slowest / seconds:.2f}', f'{loss_gap:.1e}', f'{grad_gap:.1e}')
    Console(width=120).print(table)
    what = f'iteration, {Path(args.config).stem}, {views["main"].shape[-1]}, batch {args.batch}'
    write_rows(args.json, __file__, [
        result_row(f"{name}'s {what}" if name == 'ToCo' else f'{name}, {what}', 'every pass on its own', taken,
                   rounds[0], max(found[name])) for name, taken in list(zip(ways, rounds))[1:]])


if __name__ == '__main__':
    run_tool(main)
