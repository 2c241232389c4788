#!/usr/bin/env python
"""Extract the backbone of a training checkpoint: half precision, no optimizer, hash in the name.

Example:
    python tools/model_converters/publish_backbone.py work_dirs/run/iter_3000.pth --safetensors \\
        mmwsss/checkpoints/assets/vit-micro-p8_sample --meta accuracy/top1=81.2 \\
        --meta "command=python tools/train.py .../vit-micro-p8_sample.py"
"""

import argparse
import os
from pathlib import Path

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

from rich.console import Console

from mmwsss.checkpoints import checkpoint_hash, read_checkpoint, write_checkpoint
from mmwsss.utils.errors import UserError, run_tool


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('checkpoint', help='checkpoint of a training run')
    parser.add_argument('out', type=Path, help='path of the result without hash and suffix')
    parser.add_argument('--prefix', default='backbone.', help='keep keys that start so, without this prefix')
    parser.add_argument('--float32', action='store_true', help='keep full precision')
    parser.add_argument('--safetensors', action='store_true', help='write .safetensors instead of .pth')
    parser.add_argument('--meta', action='append', default=[], metavar='KEY=VALUE', help='text to store; repeatable')
    return parser.parse_args()


def cut_backbone(state_dict: dict, prefix: str, half: bool = True) -> dict:
    """Keep the entries under a prefix.

    Args:
        state_dict: Tensors by key.
        prefix: Start of the keys to keep; it is removed from them.
        half: Turn floating-point tensors into float16.

    Returns:
        Contiguous tensors by shortened key, on the CPU.

    Raises:
        ValueError: No key starts with ``prefix``, or a value does not fit into float16.
    """
    kept = {key[len(prefix):]: value.detach().cpu() for key, value in state_dict.items() if key.startswith(prefix)}
    if not kept:
        starts = sorted({key.split('.')[0] for key in state_dict})
        raise ValueError(f'no key starts with {prefix!r}; the checkpoint has {starts}')
    for key, value in kept.items():
        if half and value.is_floating_point():
            value = value.half()
            if not value.isfinite().all():
                raise ValueError(f'{prefix}{key} has values beyond the range of float16: use --float32')
        kept[key] = value.contiguous().clone()
    return kept


def save_hashed(weights: dict, meta: dict, out: Path, suffix: str = '.pth') -> Path:
    """Write ``<out>-<first 8 digits of the file's SHA-256><suffix>``, whole or not at all.

    Args:
        weights: Tensors by key.
        meta: Texts by name.
        out: Path of the result without hash and suffix.
        suffix: ``.pth`` or ``.safetensors``, which chooses the format.

    Returns:
        The path of the file.
    """
    unnamed = out.with_name(f'.{out.name}.unnamed{suffix}')
    write_checkpoint(unnamed, weights, meta)
    path = out.with_name(f'{out.name}-{checkpoint_hash(unnamed)[:8]}{suffix}')
    os.replace(unnamed, path)
    return path


def main() -> None:
    """Publish the checkpoint and print its path."""
    args = parse_args()
    try:
        meta = dict(item.split('=', 1) for item in args.meta)
    except ValueError as error:
        raise UserError(f'--meta takes KEY=VALUE, got {args.meta}') from error
    checkpoint = read_checkpoint(args.checkpoint)
    try:
        weights = cut_backbone(checkpoint.get('state_dict', checkpoint), args.prefix, not args.float32)
    except ValueError as error:
        raise UserError(f'{args.checkpoint}: {error}') from error
    suffix = '.safetensors' if args.safetensors else '.pth'
    path = save_hashed(weights, meta, args.out, suffix)
    count = sum(value.numel() for value in weights.values())
    Console().print(f'{path}: {len(weights)} tensors, {count / 1e6:.2f} M values, {path.stat().st_size / 1e6:.2f} MB')


if __name__ == '__main__':
    run_tool(main)
