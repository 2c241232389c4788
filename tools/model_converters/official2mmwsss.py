#!/usr/bin/env python
"""Convert a checkpoint published by a method's authors: ``official2mmwsss.py METHOD SRC DST``.

The result of a method's name loads into the model of the method's config with nothing missing and
nothing unexpected; that of ``deit``, ``vit``, ``conformer-imagenet`` and ``resnet38-imagenet`` holds a
backbone (``init_cfg=dict(type='Pretrained', checkpoint=DST, prefix='backbone.')``).
"""

import argparse
from pathlib import Path

import mmwsss

# isort: split

import torch
from rich.console import Console
from rich.table import Table

from mmwsss.apis.checkpoints import checkpoint_hash, read_checkpoint
from mmwsss.utils import atomic_path, check_output
from mmwsss.utils.key_mapping import KeyLayout, MappedKeys, find_weights, map_keys
from mmwsss.utils.mxnet_params import is_mxnet_params, read_mxnet_params
from mmwsss.utils.official_layouts import MXNET_LAYOUTS, OFFICIAL_LAYOUTS


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Convert an authors' checkpoint to mmwsss' names")
    parser.add_argument('method', choices=sorted(OFFICIAL_LAYOUTS), help='what the checkpoint is of')
    parser.add_argument('src', help="the authors' file")
    parser.add_argument('dst', help='the file to write')
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
    """Read the weights of a file, of MXNet or of PyTorch, and tell how it should be laid out."""
    if Path(src).is_file() and is_mxnet_params(src):
        if method not in MXNET_LAYOUTS:
            raise ValueError(f'{src} is a file of MXNet; METHOD {method} has none, only {", ".join(MXNET_LAYOUTS)}')
        return read_mxnet_params(src), MXNET_LAYOUTS[method]
    layout = OFFICIAL_LAYOUTS[method]
    return find_weights(read_checkpoint(src), layout), layout


def convert(method: str, src: str, dst: str, console: Console) -> None:
    """Convert one file, and print what was mapped.

    Args:
        method: Key of ``OFFICIAL_LAYOUTS``.
        src: The authors' file. Tensors and plain containers are read, nothing else is unpickled. Where the method has
            one, MXNet's ``.params`` as well.
        dst: The file to write, whole or not at all.
        console: Where to print.

    Raises:
        FileNotFoundError: There is no ``src``.
        OutputError: ``dst`` is ``src``.
        ValueError: ``src`` is damaged, holds more than weights, or is laid out in another way.
    """
    check_output(dst, [src], name='DST')
    weights, layout = read_official(method, src)
    mapped = map_keys(weights, layout)
    console.print(mapping_table(mapped, weights), markup=False)
    meta = dict(method=method, source=Path(src).name, source_sha256=checkpoint_hash(src),
                mmwsss_version=mmwsss.__version__)
    state = {key: value.contiguous().clone() for key, value in mapped.state_dict.items()}
    with atomic_path(dst) as tmp:
        torch.save(dict(meta=meta, state_dict=state), tmp)
    console.print(f'{dst}: {len(state)} tensors, sha256 {checkpoint_hash(dst)}', highlight=False)


def main() -> None:
    """Convert what the command line names."""
    args = parse_args()
    convert(args.method, args.src, args.dst, Console(soft_wrap=False))


if __name__ == '__main__':
    main()
