#!/usr/bin/env python
"""Compare all CAMs of one or several models: ``python tools/analysis_tools/cam_table.py CONFIG CHECKPOINT``."""

import argparse
import ast
import time
from pathlib import Path
from typing import Optional

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

import pandas as pd
from mmengine.config import Config, ConfigDict
from mmengine.dist import is_main_process
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from rich.console import Console
from rich.table import Table

from mmwsss.analysis import plot_maps_over_setting, plot_maps_over_thresholds
from mmwsss.apis import checkpoint_hash
from mmwsss.datasets.config import dataset_configs, load_config, masks_beside
from mmwsss.engine.hooks import ProgressHook
from mmwsss.evaluation import (
    MEANS,
    CAMMetric,
    EvaluationResult,
    default_thresholds,
    format_rate,
    published_thresholds,
    without_nan,
)
from mmwsss.registry import MODELS
from mmwsss.utils import atomic_path
from mmwsss.utils.cli import add_config_arguments, add_run_arguments
from mmwsss.utils.dist import prepare_distributed
from mmwsss.utils.errors import run_tool
from mmwsss.utils.results import write_results

COLUMNS = ('mIoU', 'oracle_mIoU', 'oracle_threshold', 'oracle_FP', 'oracle_FN', 'oracle_precision', 'oracle_recall')
UNUSED = ('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler', 'val_dataloader', 'val_cfg',
          'val_evaluator')
RULE = ('mIoU: at the fixed threshold. oracle: at the threshold of the grid with the best mIoU, which the masks chose. '
        'Image labels are given.')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Evaluate all CAMs that models can give, each model in one pass over the data, and print '
        'mIoU, FP, FN, precision and recall as a table.')
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('others', nargs='*', metavar='CONFIG CHECKPOINT', help='further models, in pairs')
    add_run_arguments(parser)
    parser.add_argument('--labels', type=split_names, metavar='A,B', help='names of the models (default: the configs)')
    parser.add_argument('--split', default='val', metavar='S',
                        help='val: the images of test_dataloader; train: those with masks in train.txt beside their '
                        'list, or else the list of train_dataloader; or a list of ids of training images '
                        '(default: val)')
    parser.add_argument('--maps', type=split_names, metavar='A,B', help='which maps (default: all that differ)')
    parser.add_argument('--threshold', type=float, metavar='T',
                        help="the fixed background score (default: the config's model.test_cfg.threshold)")
    parser.add_argument('--published-sweep', action='store_true',
                        help='choose the best threshold from 0 to 0.59 in steps of 0.01, as the published scripts do '
                        '(default: from 0 to 0.99)')
    parser.add_argument('--sweep', type=parse_sweep, metavar='KEY=V1,V2',
                        help='repeat with these values of a setting, such as model.cam_head.attention_layers=1,2,3')
    parser.add_argument('--out', metavar='F', help='write F.md and F.json, the latter with every number')
    parser.add_argument('--plot', metavar='F', help='draw mIoU over the values of --sweep, or else over the thresholds')
    return parser.parse_args()


def split_names(text: str) -> list[str]:
    """Split at commas."""
    return [part.strip() for part in text.split(',')]


def parse_sweep(text: str) -> tuple[str, list]:
    """Turn ``KEY=V1,V2`` into the key and its values: numbers, lists in brackets, or words."""
    key, equals, values = text.partition('=')
    if not (key and equals and values):
        raise argparse.ArgumentTypeError(f'expected KEY=V1,V2, got {text!r}')
    try:
        return key, list(ast.literal_eval(f'[{values}]'))
    except (SyntaxError, ValueError):
        return key, split_names(values)


def models_of(args: argparse.Namespace) -> list[tuple[str, str, str]]:
    """Return name, config and checkpoint of every model.

    Raises:
        ValueError: Configs, checkpoints and labels differ in number.
        FileNotFoundError: A checkpoint does not exist.
    """
    paths = [args.config, args.checkpoint, *args.others]
    if len(paths) % 2:
        raise ValueError(f'{paths[-1]} has no checkpoint: give CONFIG CHECKPOINT pairs')
    configs, checkpoints = paths[::2], paths[1::2]
    labels = args.labels or [Path(config).stem for config in configs]
    if len(labels) != len(configs):
        raise ValueError(f'--labels names {len(labels)} models, there are {len(configs)}')
    missing = [path for path in checkpoints if not Path(path).is_file()]
    if missing:
        raise FileNotFoundError(f'no checkpoint {missing[0]}')
    return list(zip(labels, configs, checkpoints))


def choose_split(cfg: Config, split: str) -> None:
    """Let ``test_dataloader`` read the images of a split, with its own pipeline and masks.

    Args:
        cfg: The config; changed in place.
        split: ``val``, ``train`` or a list of ids of training images.

    Raises:
        ValueError: The config has no test data.
        FileNotFoundError: There is no such list.
    """
    leaves = {kind: leaf for kind, leaf, _ in dataset_configs(cfg)}
    if 'test' not in leaves:
        raise ValueError('the config has no test_dataloader with masks, by which maps could be judged')
    if split == 'val':
        return
    leaf, train = leaves['test'], leaves['train']
    leaf.ann_file = _training_list(leaf, train) if split == 'train' else _own_list(split)
    images = train.data_prefix['img_path']
    leaf.data_prefix = dict(img_path=images, seg_map_path=masks_beside(leaf, images))


def _training_list(test: ConfigDict, train: ConfigDict) -> str:
    """Return ``train.txt`` beside the list of the test images if it exists, or else that of the training images."""
    beside = Path(test.ann_file).with_name('train.txt')
    exists = (Path(test.get('data_root') or '') / beside).is_file()
    return str(beside) if exists else train.ann_file


def _own_list(path: str) -> str:
    """Return the absolute path of a list of ids.

    Raises:
        FileNotFoundError: There is no such list.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'--split must be val, train or a list of image ids, and there is no file {path}')
    return str(Path(path).absolute())


def map_names(cfg: Config, chosen: Optional[list[str]]) -> list[str]:
    """Return those of the model's maps that are asked for; all if none are named.

    Raises:
        ValueError: The model does not give one of them, or no maps at all.
    """
    model = MODELS.build(cfg.model)
    if not hasattr(model, 'map_names'):
        raise ValueError(f'{type(model).__name__} of the config gives no CAMs')
    found = list(getattr(getattr(model, 'cam_head', model), 'map_names', model.map_names))
    unknown = set(chosen or ()) - set(found)
    if unknown:
        raise ValueError(f'--maps has {sorted(unknown)}, the model gives {", ".join(found)}')
    return chosen or found


def evaluate(cfg: Config, names: list[str], threshold: float,
             grid: list[float]) -> tuple[dict[str, EvaluationResult], int]:
    """Evaluate maps in one pass over the test data; return the result of every map, and the number of images."""
    cfg.model.test_cfg['map_names'] = names
    cfg.test_evaluator = [dict(type='CAMMetric', field=name, name=name, threshold=threshold, thresholds=grid)
                          for name in names]
    cfg.test_cfg = cfg.get('test_cfg') or dict(type='TestLoop')
    cfg.update(dict.fromkeys(UNUSED))
    cfg.default_hooks.pop('visualization', None)
    cfg.experiment_name = f'cam_table_{time.time_ns()}'
    runner = Runner.from_cfg(cfg)
    progress = ProgressHook(results=False)
    runner.register_hook(progress)
    with progress:
        runner.test()
    metrics = [metric for metric in runner.test_loop.evaluator.metrics if isinstance(metric, CAMMetric)]
    return {metric.field: metric.result for metric in metrics}, len(runner.test_dataloader.dataset)


def row_of(result: EvaluationResult, threshold: float, grid: Optional[list[float]] = None) -> dict:
    """Return the means at the fixed threshold, ``oracle_...`` at the best of the grid, and ``curve`` at all of them."""
    numbers = result.to_dict()
    curve = {key: numbers[key] for key in ('thresholds', *MEANS.values())}
    means = result.metrics(threshold, oracle=result.best(among=grid))
    return without_nan({**means, 'notes': result.notes, 'curve': curve})


def without_copy(rows: list[dict]) -> list[dict]:
    """Leave out the map ``cams`` of a model if it equals another of its maps, which is then marked as ``result``."""
    result = next((row for row in rows if row['map'] == 'cams'), None)
    same = [row for row in rows if row is not result and result and row['curve'] == result['curve']]
    for row in rows:
        row['result'] = row is (same[0] if same else result)
    return [row for row in rows if not (same and row is result)]


def run(args: argparse.Namespace, label: str, config: str, checkpoint: str, setting: Optional[tuple]) -> list[dict]:
    """Evaluate a model with one value of the swept setting; return the rows of its maps in the first process."""
    args.config = config
    cfg = load_config(args)
    if setting:
        cfg.merge_from_dict(dict([setting]))
    cfg.load_from = checkpoint
    prepare_distributed(cfg, args.launcher)
    init_default_scope(cfg.get('default_scope', 'mmwsss'))
    choose_split(cfg, args.split)
    threshold = cfg.model.test_cfg.get('threshold', .5) if args.threshold is None else args.threshold
    grid = (published_thresholds() if args.published_sweep else default_thresholds()).tolist()
    results, num_images = evaluate(cfg, map_names(cfg, args.maps), float(threshold), grid)
    if not is_main_process():
        return []
    about = dict(label=label, config=config, checkpoint=checkpoint, sha256=checkpoint_hash(checkpoint),
                 setting=dict([setting]) if setting else {}, split=Path(args.split).stem, num_images=num_images,
                 threshold=threshold, views=cfg.model.test_cfg.to_dict().get('cams'),
                 seed=cfg.get('randomness', {}).get('seed'))
    rows = [{**about, 'map': name, **row_of(result, float(threshold), grid)} for name, result in results.items()]
    return rows if args.maps else without_copy(rows)


def cells(row: dict) -> list[str]:
    """Return the cells of a row of the table."""
    setting = [f'{key.split(".")[-1]}={value}' for key, value in row['setting'].items()]
    name = row['map'] + (' *' if row.get('result') else '')
    return [' '.join([row['label'], *setting]), name, *(format_rate(row[column]) for column in COLUMNS)]


def metrics_of(rows: list[dict]) -> dict:
    """Return the mIoU and oracle mIoU of each row by name: model if there are several, map and setting."""
    several = len({row['label'] for row in rows}) > 1
    metrics = {}
    for row in rows:
        setting = [f'{key.split(".")[-1]}={value}' for key, value in row['setting'].items()]
        name = ' '.join([*([row['label']] if several else []), row['map'], *setting])
        metrics.update({f'{name} cam/{key}': row[key] for key in ('mIoU', 'oracle_mIoU')})
    return metrics


def headings(rows: list[dict]) -> list[str]:
    """Return the names of the columns, with the fixed threshold if all rows share it."""
    thresholds = {row['threshold'] for row in rows}
    at = f' at {thresholds.pop():g}' if len(thresholds) == 1 else ' (fixed)'
    oracle = ['oracle mIoU', 'its threshold', 'its FP', 'its FN', 'its precision', 'its recall']
    return ['model', 'map', f'mIoU{at}', *oracle]


def describe(rows: list[dict]) -> str:
    """Return the sentences below the table: data, rules and notes."""
    first = rows[0]
    notes = dict.fromkeys(note for row in rows for note in row['notes'])
    data = f'{first["num_images"]} images of {first["split"]}, in percent.'
    return ' '.join([data, RULE, '* the result of the method.', *notes])


def print_table(rows: list[dict]) -> None:
    """Print the table."""
    table = Table()
    for index, heading in enumerate(headings(rows)):
        table.add_column(heading, justify='left' if index < 2 else 'right')
    for row, following in zip(rows, [*rows[1:], None]):
        group = cells(row)[0]
        table.add_row(*cells(row), end_section=bool(following) and cells(following)[0] != group)
    console = Console(width=max(Console().width, 150))
    console.print(table)
    console.print(describe(rows))


def markdown(rows: list[dict]) -> str:
    """Return the table in Markdown."""
    lines = [headings(rows), ['---', '---', *['---:'] * len(COLUMNS)], *map(cells, rows)]
    table = '\n'.join(f'| {" | ".join(line)} |' for line in lines)
    return f'{table}\n\n{describe(rows)}\n'.replace(' *', r' \*')


def plot(rows: list[dict], path: str) -> None:
    """Draw the oracle mIoU over the values of a setting, or mIoU over the thresholds."""
    several = len({row['label'] for row in rows}) > 1
    lines: dict[str, list[dict]] = {}
    for row in rows:
        lines.setdefault(f'{row["label"]}, {row["map"]}' if several else row['map'], []).append(row)
    setting = next(iter(rows[0]['setting']), None)
    if setting is None:
        curves = {name: pd.Series(row['curve']['mIoU'], row['curve']['thresholds'], float)
                  for name, (row, ) in lines.items()}
        plot_maps_over_thresholds(curves, path)
        return
    rates = {name: pd.DataFrame({rate: [row[f'oracle_{rate}'] for row in found] for rate in ('mIoU', 'FP', 'FN')},
                                pd.Index([row['setting'][setting] for row in found], tupleize_cols=False))
             for name, found in lines.items()}
    plot_maps_over_setting(rates, setting.split('.')[-1], path)


def main() -> None:
    """Evaluate, print and write what the command line describes."""
    args = parse_args()
    key, values = args.sweep or (None, [None])
    rows = [row for label, config, checkpoint in models_of(args) for value in values
            for row in run(args, label, config, checkpoint, (key, value) if key else None)]
    if not is_main_process():
        return
    print_table(rows)
    if args.out:
        write_results(Path(args.out).with_suffix('.json'), 'cam_table.py', metrics_of(rows), rows[0]['config'],
                      args.checkpoint, rule=RULE, rows=rows)
        with atomic_path(Path(args.out).with_suffix('.md')) as tmp:
            tmp.write_text(markdown(rows), encoding='utf-8')
    if args.plot:
        plot(rows, args.plot)


if __name__ == '__main__':
    run_tool(main)
