#!/usr/bin/env python
"""Export a model to ONNX: ``python tools/export_onnx.py CONFIG CHECKPOINT --out F.onnx``."""

import argparse

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

from mmwsss.apis import OnnxFile, export_onnx, init_model
from mmwsss.apis.onnx_export import EXPORTERS
from mmwsss.datasets.config import load_config
from mmwsss.utils import check_new_file
from mmwsss.utils.cli import add_config_arguments
from mmwsss.utils.console import print_header
from mmwsss.utils.errors import UserError, run_tool


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Export a segmentor or a CAM model to ONNX. The file has the classes, the palette and the '
        'normalization as metadata, and is compared with the model if onnxruntime is installed.')
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out', required=True, metavar='F.onnx', help='file to write')
    parser.add_argument('--source', choices=['seg', 'cam'],
                        help='the segmentation, or the scores and class activation maps of one view (default: seg if '
                        'the model is a segmentor)')
    parser.add_argument('--size', type=int, nargs=2, metavar=('H', 'W'),
                        help='size of the images for which the file is written if it cannot be free (default: the '
                        'crop size of the training)')
    parser.add_argument('--fixed', action='store_true', help='write a file for single images of that size in any case')
    parser.add_argument('--exporter', choices=EXPORTERS,
                        help='torchscript, or dynamo, which is slow and needs onnxscript (default: the first that '
                        'records the model for images of any size)')
    parser.add_argument('--check', action=argparse.BooleanOptionalAction, default=None,
                        help='compare the file with the model by onnxruntime (default: if it is installed)')
    return parser.parse_args()


def describe(file: OnnxFile) -> str:
    """Return what was written, in lines for the terminal."""
    if file.size:
        sizes = f'single images of {file.size[0]} x {file.size[1]} pixels'
        if file.reason:
            sizes += f' ({file.reason})'
    elif file.multiple > 1:
        sizes = f'images of any size in multiples of {file.multiple} pixels, in batches of any size'
    else:
        sizes = 'images of any size, in batches of any size'
    if file.differences is None:
        checked = 'not compared with the model: install onnxruntime, or leave out --no-check'
    else:
        checked = 'largest differences from the model: ' + ', '.join(
            f'{name} {value:.1e}' for name, value in file.differences.items())
    return f'{file.path}, written by {file.exporter}\ninput: {sizes}\n{checked}'


def main() -> None:
    """Export what the command line describes."""
    args = parse_args()
    if not args.out.endswith('.onnx'):
        raise UserError(f'--out must end with .onnx, got {args.out}')
    check_new_file(args.out, [args.checkpoint, args.config], '--out')
    print_header(f'exporting {args.config}', checkpoint=args.checkpoint, output=args.out)
    model = init_model(load_config(args), args.checkpoint)
    print(describe(export_onnx(model, args.out, args.source, args.size, args.fixed, args.exporter, args.check)))


if __name__ == '__main__':
    run_tool(main)
