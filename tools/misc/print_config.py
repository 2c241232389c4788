#!/usr/bin/env python
"""Print a config with everything it inherits and every override applied: ``print_config.py CONFIG``."""

import argparse

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

from rich.console import Console
from rich.syntax import Syntax

from mmwsss.datasets.config import load_config
from mmwsss.utils import atomic_path
from mmwsss.utils.cli import add_config_arguments
from mmwsss.utils.errors import run_tool


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Print a whole config')
    add_config_arguments(parser)
    parser.add_argument('--save-path', metavar='FILE', help='also write it there (.py, .json or .yml)')
    return parser.parse_args()


def main() -> None:
    """Print what the command line describes."""
    args = parse_args()
    cfg = load_config(args)
    object.__setattr__(cfg, '_format_python_code', True)  # people read this text
    console = Console()
    if console.is_terminal:
        console.print(Syntax(cfg.pretty_text, 'python', word_wrap=True))
    else:
        console.file.write(cfg.pretty_text)
    if args.save_path:
        if not args.save_path.endswith(('.py', '.json', '.yml', '.yaml')):
            raise ValueError(f'--save-path must end in .py, .json, .yml or .yaml, got {args.save_path}')
        with atomic_path(args.save_path) as tmp:
            cfg.dump(str(tmp))


if __name__ == '__main__':
    run_tool(main)
