"""Sweeps: repeat stages of a recipe with the values of a grid, or with the settings of named runs."""

import itertools
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Optional, Union

from mmengine.config import Config

from mmwsss.utils import closest
from mmwsss.utils.cli import read_config_file

from .copies import copy_stage, stages_to_repeat
from .schema import RECIPE_KEYS, Recipe, RecipeError, Stage, build_recipe, check_recipe_keys
from .stages import Train

__all__ = ['Sweep', 'SweepRun', 'read_sweep']

SWEEP_KEYS = (*RECIPE_KEYS, 'base', 'stage', 'grid', 'skip', 'runs', 'default', 'published', 'metrics')
RUN_KEYS = ('name', 'config', 'cfg_options', 'args', 'params', 'published')


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep: the copies of the stages that are repeated, with its settings.

    Attributes:
        name: Its name in the table and in the names of its stages.
        params: Its parameters by name, for the table and for plots.
        stages: Names of its stages in the recipe of the sweep, by the name of the stage that they are copies of.
        published: Published numbers by name, which stand beside the results in the table.
    """

    name: str
    params: dict[str, Any]
    stages: dict[str, str]
    published: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Sweep:
    """A sweep as read from its file.

    Attributes:
        recipe: All stages of all runs, as a recipe.
        runs: The runs in their order.
        default: The parameters of the default setting, which plots mark; empty if none is named.
        metrics: Patterns of the metrics in the table; empty for those that the stages report.
    """

    recipe: Recipe
    runs: tuple[SweepRun, ...]
    default: dict[str, Any] = field(default_factory=dict)
    metrics: tuple[str, ...] = ()

    def run(self, name: str) -> SweepRun:
        """Return the run of this name.

        Raises:
            RecipeError: There is no such run.
        """
        found = {run.name: run for run in self.runs}
        if name not in found:
            raise RecipeError(f'no run {name!r} in {self.recipe.path}{closest(name, found)}; its runs are '
                              f'{", ".join(found)}')
        return found[name]


def read_sweep(path: Union[str, os.PathLike]) -> Sweep:
    """Read a sweep and check it.

    Args:
        path: A Python, YAML or JSON config with ``title`` and ``stages``, as in a recipe, or with ``base``, the config
            of a training that is the only stage; and with ``grid``, ``runs`` or both. ``stage`` names the stage whose
            settings change, by default the first training. ``grid`` has a list of values by dotted key of the config;
            every combination is a run, except those in ``skip``. A run in ``runs`` has a ``name`` and any of
            ``cfg_options``, ``config``, ``args``, ``params`` and ``published``. ``published`` beside a grid has a list
            of numbers by name, one for each of its runs. ``default`` has the parameters of the default setting,
            ``metrics`` patterns of the metrics in the table.

    Raises:
        FileNotFoundError: There is no such file.
        RecipeError: A key or a value is wrong.
    """
    cfg = read_config_file(path)
    check_recipe_keys(cfg, SWEEP_KEYS, f'sweep {path}')
    if cfg.get('base'):
        if cfg.get('stages'):
            raise RecipeError(f'sweep {path} has base and stages: base stands for a single training')
        cfg.stages = [dict(name='train', kind='train', config=cfg.base)]
    recipe = build_recipe(cfg, path)
    stage = _varied_stage(recipe, cfg.get('stage'))
    settings = [*_grid_runs(cfg, f'sweep {path}'), *_named_runs(cfg, f'sweep {path}')]
    if not settings:
        raise RecipeError(f'sweep {path} needs grid or runs')
    folders = [safe_name(setting['name']) for setting in settings]
    twice = next((name for name in folders if folders.count(name) > 1), None)
    if twice:
        raise RecipeError(f'sweep {path}: there are two runs named {twice!r}')
    default = dict(cfg.get('default') or {})
    return _expand(recipe, stage, settings, default, tuple(cfg.get('metrics') or ()))


def _varied_stage(recipe: Recipe, name: Optional[str]) -> Stage:
    """Return the stage whose settings change."""
    if name:
        stage = recipe.stage(name)
        if not hasattr(stage, 'cfg_options'):
            raise RecipeError(f'{recipe.path}: stage {name} of kind {stage.kind} has no cfg_options that could change')
        return stage
    trainings = [stage for stage in recipe.stages if isinstance(stage, Train)]
    if not trainings:
        raise RecipeError(f'{recipe.path} trains nothing: name the stage whose settings change, as stage=...')
    return trainings[0]


def _grid_runs(cfg: Config, where: str) -> list[dict]:
    """Return the runs of the grid, in the order of its keys and values."""
    grid = dict(cfg.get('grid') or {})
    for key, values in grid.items():
        if not isinstance(values, (list, tuple)) or not values:
            raise RecipeError(f'{where}: grid needs a list of values for {key}, got {values!r}')
    skipped = [dict(item) for item in cfg.get('skip') or ()]
    unknown = {key for item in skipped for key in item} - set(grid)
    if unknown:
        raise RecipeError(f'{where}: skip names {", ".join(sorted(unknown))}, which the grid does not vary')
    points = [dict(zip(grid, values)) for values in itertools.product(*grid.values())] if grid else []
    points = [point for point in points if not any(item.items() <= point.items() for item in skipped)]
    published = dict(cfg.get('published') or {})
    for key, values in published.items():
        if len(values) != len(points):
            raise RecipeError(f'{where}: published has {len(values)} numbers of {key}, the grid has {len(points)} runs')
    labels = short_keys(grid)
    return [dict(name=run_name({labels[key]: value for key, value in point.items()}), cfg_options=point, params=point,
                 published={key: values[index] for key, values in published.items() if values[index] is not None})
            for index, point in enumerate(points)]


def _named_runs(cfg: Config, where: str) -> list[dict]:
    """Return the named runs with all their keys."""
    runs = []
    for number, item in enumerate(cfg.get('runs') or (), start=1):
        if not isinstance(item, Mapping) or not item.get('name'):
            raise RecipeError(f'{where}: run {number} must be a dict with a name, got {item!r}')
        check_recipe_keys(item, RUN_KEYS, f'{where}: run {item["name"]}')
        options = dict(item.get('cfg_options') or {})
        config = dict(config=item['config']) if item.get('config') else {}
        params = dict(item.get('params') or {**config, **options})
        runs.append(dict(item, cfg_options=options, params=params, published=dict(item.get('published') or {})))
    return runs


def _expand(recipe: Recipe, stage: Stage, settings: Sequence[dict], default: dict, metrics: tuple) -> Sweep:
    """Build the recipe in which a stage, and all stages that use its outputs, stand once for each run."""
    repeated = stages_to_repeat(recipe.stages, [stage.name])
    once = [item for item in recipe.stages if item.name not in repeated]
    copies, runs = [], []
    for setting in settings:
        folder = safe_name(setting['name'])
        names = {name: f'{name}-{folder}' for name in repeated}
        for item in (item for item in recipe.stages if item.name in repeated):
            copy = copy_stage(item, names.__getitem__, repeated, setting['name'])
            copies.append(_with_settings(copy, setting) if item is stage else copy)
        runs.append(SweepRun(setting['name'], setting['params'], names, setting['published']))
    return Sweep(replace(recipe, stages=(*once, *copies)), tuple(runs), default, metrics)


def _with_settings(stage: Stage, setting: dict) -> Stage:
    """Return a stage with the settings of a run."""
    changes: dict[str, Any] = dict(cfg_options={**getattr(stage, 'cfg_options', {}), **setting['cfg_options']})
    if setting.get('config'):
        changes['config'] = setting['config']
    if setting.get('args') is not None:
        changes['args'] = (*stage.args, *map(str, setting['args']))
    return replace(stage, **changes)


def short_keys(keys: Collection[str]) -> dict[str, str]:
    """Return the shortest ends of dotted keys that differ from each other, by key."""
    labels = {}
    for key in keys:
        parts = key.split('.')
        ends = ('.'.join(parts[-count:]) for count in range(1, len(parts) + 1))
        labels[key] = next(end for end in ends if [f'.{other}'.endswith(f'.{end}') for other in keys].count(True) == 1)
    return labels


def run_name(params: Mapping[str, Any]) -> str:
    """Return the name of a run of a grid, such as ``low=0.2 high=0.65``."""
    return ' '.join(f'{key}={Path(value).stem if str(value).endswith(".py") else value}'
                    for key, value in params.items())


def safe_name(name: str) -> str:
    """Return a name for files: letters, digits, ``.``, ``+``, ``-`` and ``_``."""
    return re.sub(r'[^\w.+-]+', '_', name).strip('_')
