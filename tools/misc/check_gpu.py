#!/usr/bin/env python
"""Check on this machine's GPU that every method computes what it computes on the CPU.

    python tools/misc/check_gpu.py                    small models: seconds
    python tools/misc/check_gpu.py --full             the published configs at their sizes, with time and memory
    python tools/misc/check_gpu.py CONFIG ...         these configs

Each model has random weights and random images. Its losses and gradients of one training iteration, its raw class maps
and its fused CAMs are compared between CPU and GPU in single precision; then an iteration runs in mixed precision
and its losses must be finite. Without a GPU, or with ``--device cpu``, the CPU is compared with itself.
"""

import argparse
import copy
import time

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

import torch
from mmengine.device import get_device
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import init_default_scope
from mmseg.structures import SegDataSample
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

from mmwsss.apis.configs import strip_pretrained
from mmwsss.models import SingleStage
from mmwsss.registry import MODELS
from mmwsss.utils.cli import read_config_file
from mmwsss.utils.errors import run_tool

SMALL = ('cam/cam_vit-micro_sample', 'toco/toco_vit-micro_sample', 'dupl/dupl_vit-micro_sample',
         'mctformer/mctformer-v1_vit-micro_sample', 'mctformer/mctformer-v2_vit-micro_sample',
         'weaktr/weaktr_vit-micro_sample', 'aream/aream_vit-micro_sample', 'transcam/transcam_conformer-micro_sample')
FULL = ('cam/cam_resnet50_voc', 'cam/cam_swin-t_voc', 'toco/toco_vit-b_voc', 'dupl/dupl_vit-b_voc',
        'mctformer/mctformer-v1_deit-s_voc', 'mctformer/mctformer-v2_deit-s_voc',
        'mctformer/mctformer-v2_deit-s_coco', 'weaktr/weaktr_deit-s_voc', 'weaktr/weaktr-v3_deit-s_voc',
        'aream/aream_deit-s_voc', 'transcam/transcam_conformer-s_voc')
LAST_ITERATION = 10**6  # in which all terms of all schedules count


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='*', help='configs of CAM models (default: one small config per method)')
    parser.add_argument('--full', action='store_true', help='the published configs at their own sizes')
    parser.add_argument('--batch', type=int, default=2, help='images in the batch')
    parser.add_argument('--tolerance', type=float, default=2e-3, help='largest relative difference that passes')
    parser.add_argument('--device', default=get_device(), help='what is compared with the CPU')
    return parser.parse_args()


def build_model(path: str) -> tuple[nn.Module, tuple[int, int]]:
    """Build the model of a config with random weights, and return it with the size (H, W) of its training images."""
    cfg = read_config_file(path).model
    init_default_scope('mmwsss')
    strip_pretrained(cfg, keep_local=False)
    if 'drop_path_rate' in cfg.backbone:
        cfg.backbone.drop_path_rate = 0.  # both devices have to compute the same
    torch.manual_seed(0)
    model = MODELS.build(cfg)
    model.init_weights()
    return model, tuple(cfg.data_preprocessor['size'])


def example(model: nn.Module, size: tuple[int, int], batch: int) -> tuple[Tensor, list[SegDataSample]]:
    """Make smooth random images (B, 3, H, W) and samples with two classes each."""
    small = torch.rand(batch, 3, size[0] // 16, size[1] // 16, generator=torch.Generator().manual_seed(0))
    samples = []
    for index in range(batch):
        sample = SegDataSample(metainfo=dict(ori_shape=size, img_shape=size, sample_seed=index))
        sample.gt_label = torch.zeros(model.cam_head.num_classes)
        sample.gt_label[[index % len(sample.gt_label), (index + 2) % len(sample.gt_label)]] = 1
        samples.append(sample)
    return F.interpolate(small, size=size, mode='bicubic') * 4 - 2, samples


def compute(model: nn.Module, images: Tensor, samples: list[SegDataSample], device: str) -> dict[str, Tensor]:
    """Run one training iteration and both kinds of CAMs; returns everything on the CPU."""
    model, images = model.to(device), images.to(device)
    samples = [sample.to(device) for sample in samples]
    losses = train_losses(model, images, samples)
    sum(value for name, value in losses.items() if name.startswith('loss')).backward()
    grad = torch.stack([param.grad.norm() for param in model.parameters() if param.grad is not None])
    model.eval()
    found = {**{name: value.detach() for name, value in losses.items() if name.startswith('loss')}, 'gradients': grad,
             **model.extract_cams(images), **{f'fused {name}': value for name, value in
                                              model.predict_cams(images[:1]).items()}}
    return {name: value.float().cpu() for name, value in found.items()}


def train_losses(model: nn.Module, images: Tensor, samples: list[SegDataSample]) -> dict[str, Tensor]:
    """Compute the losses of one iteration."""
    model.train()
    torch.manual_seed(0)
    views = dict(main=images, global2=images.flip(-1), local=images, perturbed=.7 * images)
    inputs = views if isinstance(model, SingleStage) else images
    return model(inputs, samples, mode='loss')


def mixed_precision(model: nn.Module, images: Tensor, samples: list[SegDataSample], device: str) -> dict[str, float]:
    """Run iterations in mixed precision; returns seconds, peak MiB and whether losses are finite."""
    images, samples = images.to(device), [sample.to(device) for sample in samples]
    kind = torch.device(device).type
    if kind == 'cuda':
        torch.cuda.reset_peak_memory_stats()
    for _ in range(3):
        if kind == 'cuda':
            torch.cuda.synchronize()
        began = time.perf_counter()
        model.zero_grad()
        with torch.autocast(kind, dtype=torch.bfloat16):
            losses = train_losses(model, images, samples)
        total = sum(value for name, value in losses.items() if name.startswith('loss'))
        total.backward()
        finite = bool(total.isfinite())
        if kind == 'cuda':
            torch.cuda.synchronize()
        seconds = time.perf_counter() - began
    mib = torch.cuda.max_memory_allocated() / 2**20 if kind == 'cuda' else float('nan')
    return dict(seconds=seconds, mib=mib, finite=finite)


def difference(one: Tensor, other: Tensor) -> float:
    """Return the largest difference of two tensors, relative to the largest value."""
    return float((one - other).abs().max() / one.abs().max().clamp(min=1e-6)) if one.numel() else 0.


def main() -> None:
    """Check all configs; exits with an error if one differs or is not finite."""
    args = parse_args()
    MMLogger.get_instance('check_gpu', log_level='WARNING')
    names = args.configs or [f'configs/{name}.py' for name in (FULL if args.full else SMALL)]
    MessageHub.get_current_instance().update_info_dict(dict(epoch=LAST_ITERATION, iter=LAST_ITERATION))
    table = Table(title=f'cpu against {args.device}, batch of {args.batch}, torch {torch.__version__}')
    for heading in ('config', 'size', 'largest difference', 'of', 'bf16 s / iteration', 'peak MiB', ''):
        table.add_column(heading, justify='left' if heading in ('config', 'of', '') else 'right')
    failed = []
    for path in names:
        model, size = build_model(path)
        images, samples = example(model, size, args.batch)
        expected = compute(copy.deepcopy(model), images, samples, 'cpu')
        found = compute(model, images, samples, args.device)
        gaps = {name: difference(value, found[name]) for name, value in expected.items()}
        worst = max(gaps, key=gaps.get)
        amp = mixed_precision(model, images, samples, args.device)
        passed = gaps[worst] <= args.tolerance and amp['finite']
        failed += [] if passed else [path]
        table.add_row(path.split('/')[-1].removesuffix('.py'), f'{size[0]}x{size[1]}', f'{gaps[worst]:.1e}', worst,
                      f'{amp["seconds"]:.3f}', f'{amp["mib"]:.0f}', 'ok' if passed else 'FAILED')
    Console(width=150).print(table)
    if failed:
        raise SystemExit(f'{len(failed)} of {len(names)} configs differ by more than {args.tolerance}, or are not '
                         f'finite: {", ".join(failed)}')


if __name__ == '__main__':
    run_tool(main)
