#!/usr/bin/env python
"""Print which export formats work for each method: ``python tools/analysis_tools/export_table.py [CONFIG ...]``."""

import argparse
import logging
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

import torch
from torch import nn

from mmwsss.apis import export_onnx, init_model
from mmwsss.apis.graphs import build_graph, example_images, export_program, size_multiple, varied_shapes
from mmwsss.utils.errors import UserError, run_tool

SIZE = (120, 136)
CONFIGS = {
    'plain CAM': 'configs/cam/cam_vit-micro_sample.py',
    'ToCo': 'configs/toco/toco_vit-micro_sample.py',
    'MCTformer-V1': 'configs/mctformer/mctformer-v1_vit-micro_sample.py',
    'MCTformer-V2': 'configs/mctformer/mctformer-v2_vit-micro_sample.py',
    'WeakTr': 'configs/weaktr/weaktr_vit-micro_sample.py',
    'AReAM': 'configs/aream/aream_vit-micro_sample.py',
    'TransCAM': 'configs/transcam/transcam_conformer-micro_sample.py',
    'DeepLab-V1': 'configs/deeplab/deeplabv1_wr38-micro_sample.py',
    'DeepLab-V2': 'configs/deeplab/deeplabv2_r18_sample.py',
    'Segmenter': 'configs/weaktr/weaktr-retrain_vit-micro_sample.py',
}
Outcome = tuple[str, float]


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Export small models of all methods in all formats, compare what was '
                                     'exported with the model, and print a table in Markdown.')
    parser.add_argument('configs', nargs='*', metavar='CONFIG', help='configs (default: one for each method)')
    parser.add_argument('--formats', nargs='+', choices=FORMATS, default=list(FORMATS), help='default: all')
    return parser.parse_args()


def try_onnx(exporter: str) -> Callable[[nn.Module, str], Outcome]:
    """Return a function that exports to ONNX with an exporter."""
    def export(model: nn.Module, source: str) -> Outcome:
        with tempfile.TemporaryDirectory() as folder:
            file = export_onnx(model, Path(folder, 'model.onnx'), source, SIZE, exporter=exporter, check=True)
        return 'fixed' if file.size else 'free', max(file.differences.values())
    return export


def try_recorded(record: Callable[[nn.Module, bool], nn.Module]) -> Callable[[nn.Module, str], Outcome]:
    """Return a function that records a graph in PyTorch, with free sizes or else for single images of one size."""
    def export(model: nn.Module, source: str) -> Outcome:
        graph = build_graph(model, source)
        try:
            recorded = record(graph, True)
            return 'free', largest_difference(graph, recorded, varied_shapes(SIZE, size_multiple(model)))
        except Exception:  # The exporter, or what it has recorded, fails with any kind of error.
            recorded = record(graph, False)
            return 'fixed', largest_difference(graph, recorded, [(1, 3, *SIZE)])
    return export


def trace(graph: nn.Module, free: bool) -> nn.Module:
    """Record a graph with ``torch.jit.trace``."""
    return torch.jit.trace(graph, example_images(graph, SIZE, free), check_trace=False)


@torch.no_grad()
def largest_difference(graph: nn.Module, recorded: nn.Module, shapes: list[tuple[int, ...]]) -> float:
    """Return the largest difference between what a graph and its record give, on random images."""
    largest = 0.
    for shape in shapes:
        images = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        for output, expected in zip(recorded(images), graph(images)):
            largest = max(largest, (output - expected).abs().max().item())
    if not largest < 0.05:
        raise UserError(f'outputs differ by {largest:.1e}')
    return largest


FORMATS = {
    'ONNX, dynamo': try_onnx('dynamo'),
    'ONNX, torchscript': try_onnx('torchscript'),
    '`torch.export`': try_recorded(lambda graph, free: export_program(graph, SIZE, free).module()),
    '`torch.jit.trace`': try_recorded(trace),
    '`torch.jit.script`': try_recorded(lambda graph, free: torch.jit.script(graph)),
}


def cell(name: str, model: nn.Module, source: str) -> str:
    """Try a format, and describe the outcome."""
    began = time.process_time()
    try:
        with torch.no_grad():
            sizes, difference = FORMATS[name](model, source)
    except Exception:  # See try_recorded.
        return 'no'
    return f'{sizes}, {difference:.0e}, {time.process_time() - began:.0f} s'


def main() -> None:
    """Print the table row by row."""
    args = parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter('ignore')
    print('| model | ' + ' | '.join(args.formats) + ' |')
    print('|---' * (len(args.formats) + 1) + '|')
    for name, config in {path: path for path in args.configs}.items() or CONFIGS.items():
        model = init_model(config)
        torch.manual_seed(0)
        for parameter in model.parameters():  # Some start at zero, which hides differences.
            parameter.data += 0.02 * torch.randn_like(parameter)
        sources = [key for key, able in (('seg', hasattr(model, 'encode_decode')),
                                         ('cam', hasattr(model, 'predict_cams'))) if able]
        for source in sources:
            label = f'{name} ({source})' if len(sources) > 1 else name
            print(f'| {label} | ' + ' | '.join(cell(key, model, source) for key in args.formats) + ' |', flush=True)


if __name__ == '__main__':
    run_tool(main)
