#!/usr/bin/env python
"""Draw a figure of a paper from trained models: ``python tools/analyze.py NAME CONFIG CHECKPOINT --out D``.

``--list`` prints all analyses. D/NAME.json gets every number of the figure, D/NAME.png the figure.
"""

import argparse
import ast
import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import init_dist, is_main_process
from rich.console import Console
from rich.table import Table
from torch import distributed

from mmwsss.analysis import RunAnalysis, build_analysis, known_analyses
from mmwsss.apis.analyses import RANDOM, START, LabeledModel, analyze_models, analyze_runs
from mmwsss.datasets.config import data_roots, load_config
from mmwsss.utils import atomic_path, check_output, read_json
from mmwsss.utils.cli import add_override_arguments
from mmwsss.utils.console import echo
from mmwsss.utils.dist import prepare_distributed
from mmwsss.utils.errors import UserError, run_tool
from mmwsss.utils.results import write_results

TOOL = 'analyze.py'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Compute the numbers of a figure on trained models, and draw it.')
    parser.add_argument('name', nargs='?', help='name of the analysis; --list prints all')
    parser.add_argument('inputs', nargs='*', metavar='CONFIG CHECKPOINT',
                        help=f'models in pairs; {START} in place of a checkpoint takes the weights with which training '
                        f'starts, {RANDOM} random ones. Analyses of trainings take work directories instead')
    parser.add_argument('--list', action='store_true', help='print all analyses')
    parser.add_argument('--out', metavar='D', help='folder for NAME.json and the figure')
    parser.add_argument('--labels', type=split_names, metavar='A,B',
                        help='names of the models in the figure (default: names of the files)')
    parser.add_argument('--options', nargs='+', default=[], metavar='KEY=VALUE', help='options of the analysis')
    parser.add_argument('--split', default='val', metavar='S',
                        help='val: the images of test_dataloader; train: those with masks in train.txt beside their '
                        'list, or else the list of train_dataloader; or a list of ids of training images '
                        '(default: val)')
    parser.add_argument('--max-images', type=int, metavar='N', help='use only N images, evenly spaced over the split')
    parser.add_argument('--images', type=split_names, metavar='ID,ID', help='use these images')
    parser.add_argument('--size', type=parse_size, metavar='H[,W]',
                        help="size of the network's input (default: what the test pipeline makes)")
    parser.add_argument('--format', choices=['png', 'pdf', 'svg'], default='png', help='of the figure (default: png)')
    parser.add_argument('--redraw', metavar='F', help='draw a JSON file of this tool again, without a model')
    parser.add_argument('--sweep', type=parse_sweep, metavar='KEY=V1,V2',
                        help='repeat with these values of a setting, such as model.cam_head.attention_layers=1,2,3')
    parser.add_argument('--device', default=get_device(),
                        help='such as cpu or cuda:1 (default: the GPU if there is one)')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none',
                        help='what started the processes of this run, which share the images')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by the launcher')
    parser.add_argument('--seed', type=int, default=0, help='seed of what an analysis draws (default: 0)')
    add_override_arguments(parser)
    args = parser.parse_args()
    if args.max_images is not None and args.max_images < 1:
        parser.error('--max-images must be at least 1')
    if not args.list and not args.redraw and not (args.name and args.inputs and args.out):
        parser.error('give NAME, CONFIG CHECKPOINT and --out; or --list; or --redraw F')
    return args


def split_names(text: str) -> list[str]:
    """Split at commas."""
    return [part.strip() for part in text.split(',')]


def parse_size(text: str) -> tuple[int, int]:
    """Turn ``448`` or ``448,336`` into (height, width)."""
    sides = [int(part) for part in text.split(',')]
    if not 1 <= len(sides) <= 2 or min(sides) < 1:
        raise argparse.ArgumentTypeError(f'expected H or H,W in pixels, got {text!r}')
    return sides[0], sides[-1]


def parse_sweep(text: str) -> tuple[str, list]:
    """Turn ``KEY=V1,V2`` into the key and its values: numbers, lists in brackets, or words."""
    key, equals, values = text.partition('=')
    if not (key and equals and values):
        raise argparse.ArgumentTypeError(f'expected KEY=V1,V2, got {text!r}')
    try:
        return key, list(ast.literal_eval(f'[{values}]'))
    except (SyntaxError, ValueError):
        return key, [part.strip() for part in values.split(',')]


def parse_options(pairs: list[str]) -> dict[str, Any]:
    """Turn ``KEY=VALUE`` into options: Python values where they can be read as such, else words."""
    options = {}
    for pair in pairs:
        key, equals, value = pair.partition('=')
        if not (key and equals):
            raise UserError(f'--options takes KEY=VALUE, got {pair!r}')
        try:
            options[key] = ast.literal_eval(value)
        except (SyntaxError, ValueError):
            options[key] = value
    return options


def labels_of(args: argparse.Namespace, paths: list[str]) -> list[str]:
    """Return the label of each model or run.

    Raises:
        UserError: ``--labels`` names more or fewer, or one twice.
    """
    labels = args.labels or [Path(path).stem for path in paths]
    if len(labels) != len(paths):
        raise UserError(f'--labels names {len(labels)} runs, there are {len(paths)}')
    if len(set(labels)) < len(labels):
        raise UserError(f'two runs are called {labels}: name them by --labels A,B')
    return labels


def models_of(args: argparse.Namespace) -> list[LabeledModel]:
    """Return the models that the command line names.

    Raises:
        FileNotFoundError: A config or checkpoint does not exist.
        UserError: A config has no checkpoint.
    """
    if len(args.inputs) % 2:
        raise UserError(f'{args.inputs[-1]} has no checkpoint: give CONFIG CHECKPOINT pairs, or {START} in place of '
                        'the checkpoint')
    configs, checkpoints = args.inputs[::2], args.inputs[1::2]
    missing = [path for path in checkpoints if path not in (START, RANDOM) and not Path(path).is_file()]
    if missing:
        raise FileNotFoundError(f'no checkpoint {missing[0]}')
    names = configs if len(set(configs)) == len(configs) else checkpoints
    models = []
    for label, config, checkpoint in zip(labels_of(args, names), configs, checkpoints):
        args.config = config
        models += swept(LabeledModel(label, load_config(args), config, checkpoint), args.sweep)
    return models


def swept(model: LabeledModel, sweep: Optional[tuple[str, list]]) -> list[LabeledModel]:
    """Return a model with each value of the setting that is swept, or the model alone."""
    if sweep is None:
        return [model]
    (key, values), models = sweep, []
    for value in values:
        cfg = copy.deepcopy(model.cfg)
        cfg.merge_from_dict({key: value})
        label = f'{model.label} {key.split(".")[-1]}={value}'
        models.append(model._replace(label=label, cfg=cfg, setting={key: value}, model=model.label))
    return models


def start_processes(args: argparse.Namespace, cfg: Config) -> None:
    """Connect the processes of a distributed run."""
    prepare_distributed(cfg, args.launcher)
    if args.launcher != 'none' and not distributed.is_initialized():
        init_dist(args.launcher, **cfg.get('env_cfg', {}).get('dist_cfg', {}))


def analyze(args: argparse.Namespace) -> dict[str, Any]:
    """Compute the numbers; return the content of the JSON file."""
    options = parse_options(args.options)
    json_file = Path(args.out) / f'{args.name}.json'
    analysis, _ = build_analysis(args.name, options)
    if isinstance(analysis, RunAnalysis):
        files = [] if analysis.reads_files else [path for path in args.inputs if not Path(path).is_dir()]
        if files:
            raise UserError(f'{args.name} reads work directories of trainings, and {files[0]} is none')
        check_output(json_file, args.inputs, name='--out')
        return analyze_runs(args.name, dict(zip(labels_of(args, args.inputs), map(Path, args.inputs))), options)
    models = models_of(args)
    start_processes(args, models[0].cfg)
    roots = [root for model in models for root in data_roots(model.cfg).split(', ') if root]
    check_output(json_file, [*args.inputs, *roots], name='--out')
    return analyze_models(args.name, models, options, args.split, args.max_images, args.images, args.size, args.device,
                          args.seed)


def print_summary(record: dict[str, Any]) -> None:
    """Print a line for each run, and the notes."""
    rows = []
    for run in record['runs']:
        row, prefix = {'run': run['label']}, f'{run["label"]} '
        if 'num_images' in run:
            sizes = ['x'.join(map(str, size)) for size in run['input_sizes']]
            row.update({'images': str(run['num_images']), 'input': sizes[0] + ' and others' * (len(sizes) > 1),
                        'peak memory': '' if run['peak_memory_mib'] is None else f'{run["peak_memory_mib"]:.0f} MiB'})
        row['numbers'] = ', '.join(f'{key.removeprefix(prefix)} {value:.4g}' for key, value in record['metrics'].items()
                                   if key.startswith(prefix))
        rows.append(row)
    table = Table(*(key for key in rows[0] if any(row[key] for row in rows)))
    for row in rows:
        table.add_row(*(row[column.header] for column in table.columns))
    Console().print(table)
    for label, text in record['notes'].items():
        Console().print(text if len(rows) == 1 else f'{label}: {text}', highlight=False, soft_wrap=True)


def print_analyses() -> None:
    """Print all analyses with the figures that they reproduce."""
    table = Table('name', 'figure', 'what')
    for name, kind in known_analyses().items():
        table.add_row(name, kind.source, (kind.__doc__ or '').strip().splitlines()[0])
    Console(width=max(Console().width, 140)).print(table)


def redraw(path: str, out: str, suffix: str, others: Sequence[str] = ()) -> Path:
    """Draw a JSON file again, with the runs of other files of the same analysis.

    Returns:
        The figure: beside the file or in the folder ``out``.

    Raises:
        UserError: A file is not of this tool, or the files are of different analyses.
    """
    files = [path, *others]
    records = [read_json(file) for file in files]
    for file, record in zip(files, records):
        if not isinstance(record, dict) or record.get('tool') != TOOL:
            raise UserError(f'{file} is not a file of {TOOL}')
        if record['analysis'] != records[0]['analysis']:
            raise UserError(f'{file} is of {record["analysis"]}, {files[0]} of {records[0]["analysis"]}')
    figure = Path(out or Path(files[0]).parent) / f'{Path(files[0]).stem}.{suffix}'
    record = {**records[0], 'runs': [run for part in records for run in part['runs']]}
    build_analysis(record['analysis'], record['options'])[0].draw(record, figure)
    return figure


def main() -> None:
    """Analyze, print, write and draw what the command line describes."""
    args = parse_args()
    if args.list:
        print_analyses()
        return
    if args.redraw:
        first, *others = split_names(args.redraw)
        echo(str(redraw(first, args.out, args.format, others)))
        return
    record = analyze(args)
    if not is_main_process():
        return
    path = Path(args.out) / f'{args.name}.json'
    write_results(path, TOOL, indent=None, **record)
    table = build_analysis(args.name, record['options'])[0].table(read_json(path))
    print_summary(record if table is None else {**record, 'metrics': {}})
    if table is not None:
        Console(width=max(Console().width, 140)).print(table.rich())
        with atomic_path(path.with_suffix('.md')) as tmp:
            tmp.write_text(table.markdown(), encoding='utf-8')
    echo(f'{path}, {redraw(path, args.out, args.format)}')


if __name__ == '__main__':
    run_tool(main)
