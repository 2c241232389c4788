"""Command-line flags and config handling that the tools share."""

import argparse
import difflib
import os
from pathlib import Path
from typing import Union

from mmengine.config import Config, DictAction

__all__ = ['add_config_arguments', 'add_run_arguments', 'find_config', 'load_config', 'replace_pipelines']

PACKAGE = Path(__file__).resolve().parents[1]


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the config and what overrides it: ``--cfg-options`` and the three flags for own data."""
    parser.add_argument(
        'config', help='config file; one of mmwsss may be named as configs/... from any folder')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
        help='settings that override the config, such as train_cfg.max_iters=100; lists as key="[a,b]" or '
        'key=a,b, without blanks; applied last')
    data = parser.add_argument_group('own data', 'replace the data of the config without editing it')
    data.add_argument('--data-root', metavar='DIR', help='folder in VOC layout')
    data.add_argument('--classes', metavar='FILE',
                      help='text file with one foreground class per line (the background is added)')
    data.add_argument('--label-file', metavar='FILE', help="image labels in mmwsss' JSON format")


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--work-dir``, ``--launcher`` and ``--local-rank``, as mmseg's tools have them."""
    parser.add_argument('--work-dir', metavar='DIR',
                        help='folder for logs and results (default: work_dirs/<name of the config>)')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none',
                        help='what started the processes of this run')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by the launcher')


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


def _similar_configs(name: str) -> str:
    """Word a hint that names the configs most like ``name``."""
    configs = {config.name: config for root in (PACKAGE.parent, PACKAGE / '.mim')
               for config in sorted(root.glob('configs/*/*.py'))}
    close = difflib.get_close_matches(name, configs, n=3)
    if not close:
        return ''
    return '; did you mean ' + ' or '.join(
        '/'.join(configs[match].parts[-3:]) for match in close) + '?'


def load_config(args: argparse.Namespace) -> Config:
    """Read the config that the flags of this module describe.

    The flags for own data are applied first, ``--cfg-options`` last, so that the latter can refine
    the former.

    Args:
        args (Namespace): With the attributes of :func:`add_config_arguments` and, for tools that run
            something, of :func:`add_run_arguments`.

    Returns:
        Config: With ``launcher`` and ``work_dir`` set, where ``args`` has them.

    Raises:
        FileNotFoundError: There is no such config, data root, class or label file.
    """
    # Formatting the dump of a config costs seconds at every start, and nobody reads it for its line breaks.
    cfg = Config.fromfile(find_config(args.config), format_python_code=False)
    if args.data_root or args.classes or args.label_file:
        from .config import override_data
        override_data(cfg, data_root=args.data_root, classes=args.classes, label_file=args.label_file)
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    if hasattr(args, 'launcher'):
        cfg.launcher = args.launcher
        os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    if hasattr(args, 'work_dir'):
        default = cfg.get('work_dir') or os.path.join('work_dirs', Path(args.config).stem)
        cfg.work_dir = args.work_dir or default
    return cfg


def replace_pipelines(dataset: dict, pipeline: list) -> None:
    """Give a dataset config another pipeline, also where it stands inside wrappers.

    Args:
        dataset (dict): Config of a dataset or of a wrapper (``dataset`` or ``datasets`` inside);
            changed in place. A wrapper that has a pipeline of its own keeps what it wraps as it is.
        pipeline (list[dict]): The new pipeline.

    Raises:
        ValueError: No dataset in the config has a pipeline.
    """
    inner = dataset.get('datasets') or [dataset['dataset']] if 'dataset' in dataset or 'datasets' in dataset else []
    if dataset.get('pipeline') is not None or not inner:
        if 'pipeline' not in dataset:
            raise ValueError(f'dataset {dataset.get("type")} has no pipeline to replace; its keys are {list(dataset)}')
        dataset['pipeline'] = pipeline
        return
    for part in inner:
        replace_pipelines(part, pipeline)
