#!/usr/bin/env python
"""Convert a checkpoint published by a method's authors: ``official2mmwsss.py METHOD SRC DST``.

The result of a method's name loads into the model of the method's config with nothing missing and
nothing unexpected; that of ``deit``, ``vit``, ``conformer-imagenet`` and ``resnet38-imagenet`` holds a
backbone (``init_cfg=dict(type='Pretrained', checkpoint=DST, prefix='backbone.')``).
"""

import argparse
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Optional

import mmwsss

# isort: split

from rich.console import Console
from rich.table import Table

from mmwsss.checkpoints import (
    MXNET_LAYOUTS,
    OFFICIAL_LAYOUTS,
    CheckpointError,
    KeyLayout,
    MappedKeys,
    checkpoint_hash,
    find_weights,
    is_mxnet_params,
    map_keys,
    official_methods,
    read_checkpoint,
    read_mxnet_params,
    write_checkpoint,
)
from mmwsss.utils import check_output
from mmwsss.utils.errors import run_tool

PUBLISHED_DEPTHS = (12, 24)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Convert an authors' checkpoint to mmwsss' names")
    parser.add_argument('method', choices=sorted(OFFICIAL_LAYOUTS), help='what the checkpoint is of')
    parser.add_argument('src', help="the authors' file")
    parser.add_argument('dst', help='the file to write; .safetensors chooses that format')
    return parser.parse_args()


def mapping_table(mapped: MappedKeys, weights: dict) -> Table:
    """Show each rule that took something: old and new names, how many tensors and elements."""
    table = Table(title='weights')
    for name, justify in (('official', 'left'), ('mmwsss', 'left'), ('tensors', 'right'), ('elements', 'right')):
        table.add_column(name, justify=justify, overflow='fold')
    for rule, keys in mapped.sources.items():
        if keys:
            elements = sum(weights[key].numel() for key in keys)
            target = '(dropped)' if rule.target is None else rule.target
            table.add_row(rule.source.replace('\\.', '.'), target, str(len(keys)), f'{elements:,}', style=None
                          if rule.target else 'dim')
    table.add_section()
    kept = mapped.state_dict.values()
    table.add_row('', 'kept', str(len(kept)), f'{sum(value.numel() for value in kept):,}', style='bold')
    return table


def read_official(method: str, src: str) -> tuple[dict, KeyLayout]:
    """Read the weights of a file, of MXNet or of PyTorch, and return how it should be laid out, too."""
    if Path(src).is_file() and is_mxnet_params(src):
        if method not in MXNET_LAYOUTS:
            raise CheckpointError(f'{src} is a file of MXNet; METHOD {method} has none, only '
                                  f'{", ".join(MXNET_LAYOUTS)}')
        return read_mxnet_params(src), MXNET_LAYOUTS[method]
    layout = OFFICIAL_LAYOUTS[method]
    return find_weights(read_checkpoint(src), layout), layout


def vit_depth(names: Iterable[str]) -> Optional[int]:
    """Return the number of transformer blocks of a backbone by the names of its weights; None if it has none."""
    numbers = [int(found[1]) for found in map(re.compile(r'backbone\.layers\.(\d+)\.').match, names) if found]
    return max(numbers) + 1 if numbers else None


def convert(method: str, src: str, dst: str, console: Console) -> None:
    """Convert one file, and print what was mapped.

    Args:
        method: Key of ``OFFICIAL_LAYOUTS``.
        src: The authors' file. Tensors and plain containers are read, nothing else is unpickled. Where the method has
            one, MXNet's ``.params`` as well.
        dst: The file to write, whole or not at all; its suffix ``.safetensors`` chooses that format.
        console: Where to print.

    Raises:
        FileNotFoundError: There is no ``src``.
        OutputError: ``dst`` is ``src``.
        CheckpointError: ``src`` is damaged, holds more than weights, lacks a block, or is laid out in another way.
    """
    check_output(dst, [src], name='DST')
    weights = {}
    try:
        weights, layout = read_official(method, src)
        mapped = map_keys(weights, layout)
    except CheckpointError as error:
        text = str(error) if src in str(error) else f'{src} is {error}'
        others = ' or '.join(f'{name} ({OFFICIAL_LAYOUTS[name].name})' for name in official_methods(weights))
        raise CheckpointError(f'{text}. Its weights are those of METHOD {others}' if others else text) from error
    console.print(mapping_table(mapped, weights), markup=False)
    meta = dict(method=method, source=Path(src).name, source_sha256=checkpoint_hash(src),
                mmwsss_version=mmwsss.__version__)
    write_checkpoint(dst, mapped.state_dict, meta)
    console.print(f'{dst}: {len(mapped.state_dict)} tensors, sha256 {checkpoint_hash(dst)}', highlight=False)
    depth = vit_depth(mapped.state_dict)
    if depth is not None and depth not in PUBLISHED_DEPTHS:
        console.print(f'{src} has {depth} transformer blocks, where published models have '
                      f'{" or ".join(map(str, PUBLISHED_DEPTHS))}: is its end missing?', style='yellow')


def main() -> None:
    """Convert what the command line names."""
    args = parse_args()
    convert(args.method, args.src, args.dst, Console(soft_wrap=False))


if __name__ == '__main__':
    run_tool(main)
