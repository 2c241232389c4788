"""Command-line flags that the tools share, and where their configs are found."""

import argparse
import difflib
import json
import os
from pathlib import Path
from typing import Any, Optional, Union

from mmengine.config import Config, DictAction

from .console import set_verbose
from .errors import UserError

__all__ = ['add_amp_argument', 'add_config_arguments', 'add_override_arguments', 'add_run_arguments',
           'add_verbose_argument', 'find_config', 'read_config_file', 'threshold_argument']

PACKAGE = Path(__file__).resolve().parents[1]


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the config, what overrides it (``--cfg-options`` and the three flags for own data), and ``--verbose``."""
    parser.add_argument(
        'config', help='config file; one of mmwsss may be named as configs/... from any folder')
    add_override_arguments(parser)


def add_override_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what overrides a config (``--cfg-options`` and the three flags for own data), and ``--verbose``."""
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
        help='settings that override the config, such as train_cfg.max_iters=100; lists as key="[a,b]" or '
        'key=a,b, without blanks; applied last')
    add_verbose_argument(parser)
    data = parser.add_argument_group('own data', 'replace the data of the config without editing it')
    data.add_argument('--data-root', metavar='DIR', help='folder in VOC layout')
    data.add_argument('--classes', metavar='FILE',
                      help='text file with one foreground class per line (the background is added)')
    data.add_argument('--label-file', metavar='FILE', help="image labels in mmwsss' JSON format")


def add_verbose_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``-v`` or ``--verbose``, which shows the whole log on the console as soon as it is read."""
    parser.add_argument('-v', '--verbose', action=_Verbose, nargs=0,
                        help='show the whole log on the console, also that of the tools that this one starts')


class _Verbose(argparse.Action):
    """Show the log from here on."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any,
                 option_string: Optional[str] = None) -> None:
        set_verbose()


def add_amp_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--amp``, the precision of the backbone where maps and masks are made."""
    parser.add_argument('--amp', choices=['bf16', 'fp16'],
                        help='run the backbone in this lower precision, for speed (default: float32). fp16 takes a '
                        'GPU; bf16 gains on GPUs, and on CPUs that have instructions for it')


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--work-dir``, ``--launcher`` and ``--local-rank``, as mmseg's tools have them."""
    parser.add_argument('--work-dir', metavar='DIR',
                        help='folder for logs and results (default: work_dirs/<name of the config>)')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none',
                        help='what started the processes of this run')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by the launcher')


def threshold_argument(text: str) -> float:
    """Read a threshold: a number, or the file that ``suggest_threshold.py`` writes.

    Args:
        text (str): The number, or the path of a JSON file with ``threshold``.

    Raises:
        ArgumentTypeError: It is neither; as the ``type`` of an argument, this ends the tool with a message.
    """
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return float(json.loads(Path(text).read_text(encoding='utf-8'))['threshold'])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise argparse.ArgumentTypeError(f'{text} is neither a number nor a file of suggest_threshold.py '
                                         f'({type(error).__name__}: {error})') from error


def find_config(path: Union[str, os.PathLike]) -> str:
    """Find a config file: as named, or among those that come with mmwsss.

    Args:
        path (str or PathLike): Path of the file, relative to the working folder, or to the
            repository or the installed package (``configs/...``).

    Returns:
        str: Path of the file.

    Raises:
        FileNotFoundError: There is none; the message lists where it was looked for and configs of
            similar names.
    """
    places = [Path(path), PACKAGE / '.mim' / path, PACKAGE.parent / path]
    for place in places:
        if place.is_file():
            return str(place)
    raise FileNotFoundError(f'no config {path}: looked for {", ".join(map(str, places))}'
                            f'{_similar_configs(Path(path).name)}')


def read_config_file(path: Union[str, os.PathLike]) -> Config:
    """Read a config file.

    Args:
        path (str or PathLike): See :func:`find_config`.

    Returns:
        Config: Its text is not formatted, which would cost seconds at every start.

    Raises:
        FileNotFoundError: The config or a config that it inherits from does not exist.
        UserError: It cannot be read; the message names the config and the reason.
    """
    file = find_config(path)
    try:
        cfg = Config.fromfile(file)
    except FileNotFoundError:
        raise
    except Exception as error:  # A config is a program, which can fail in any way.
        raise UserError(f'config {path} cannot be read: {type(error).__name__}: {error}') from error
    # mmengine's fromfile does not pass its argument format_python_code on. Formatting costs seconds, also at every
    # checkpoint, which contains the text.
    object.__setattr__(cfg, '_format_python_code', False)
    return cfg


def _similar_configs(name: str) -> str:
    """Build a hint that names the configs most similar to ``name``."""
    configs = {config.name: config for root in (PACKAGE.parent, PACKAGE / '.mim')
               for config in sorted(root.glob('configs/*/*.py'))}
    close = difflib.get_close_matches(name, configs, n=3)
    if not close:
        return ''
    return '; did you mean ' + ' or '.join(
        '/'.join(configs[match].parts[-3:]) for match in close) + '?'
