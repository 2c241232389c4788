"""Reading a recipe: a title and the stages that lead from image labels to a number."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Optional, Union

from mmengine.config import Config

from mmwsss.utils import closest
from mmwsss.utils.cli import find_config

from .kinds import STAGE_KINDS

__all__ = ['Recipe', 'RecipeError', 'Stage', 'read_recipe', 'shortened']

NEEDS = {'checkpoint': 'checkpoint', 'labels': 'labels', 'cams': 'labels'}
"""Keys of a stage that name an earlier one, and what that one must give."""


class RecipeError(Exception):
    """A recipe is wrong, or one of its stages has failed; the message is for the user."""


@dataclass(frozen=True)
class Stage:
    """One stage.

    Args:
        name: Also the name of its folder.
        kind: Key of :data:`~mmwsss.recipes.STAGE_KINDS`.
        title: What the report calls it; its name by default.
        config: Config file, as ``configs/...`` or relative to the working folder. Where there is none, it is that of
            the stage named as ``checkpoint``, with its overrides.
        cfg_options: Overrides of the config: values by dotted key.
        checkpoint: The stage whose final checkpoint is used.
        labels: The stage whose pseudo labels are used.
        cams: The stage whose class maps, saved beside its pseudo labels, are used.
        split: ``train``, ``val``, ``test`` or a list of image ids, where the kind has a choice; ``train`` by default.
        script: The tool that a ``script`` stage runs, relative to ``tools/``.
        creates: The files that tell what a ``script`` stage made.
        args: Further words of the command; ``{data_root}`` and ``{out}`` are replaced.
        report: Metrics that the report shows, by name or pattern; the others are kept in ``stage.json``.
        short: Values that replace those of other keys in a short run.
    """

    name: str
    kind: str
    title: str = ''
    config: Optional[str] = None
    cfg_options: dict = field(default_factory=dict)
    checkpoint: Optional[str] = None
    labels: Optional[str] = None
    cams: Optional[str] = None
    split: str = ''
    script: Optional[str] = None
    creates: tuple = ()
    args: tuple = ()
    report: tuple = ('*mIoU', )
    short: dict = field(default_factory=dict)

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the stages it needs."""
        return tuple(name for name in (getattr(self, key) for key in NEEDS) if name)


COMMON_KEYS = ('name', 'kind', 'title', 'args', 'report', 'short')


@dataclass(frozen=True)
class Recipe:
    """A title, where the data are unless the command line says otherwise, and the stages in their order."""

    title: str
    stages: tuple[Stage, ...]
    data_root: Optional[str] = None
    path: str = ''

    @property
    def name(self) -> str:
        """``<method>_<file name>``: what the default output folder is called."""
        path = Path(self.path)
        return f'{path.parent.name}_{path.stem}'

    def stage(self, name: str) -> Stage:
        """Find a stage.

        Raises:
            RecipeError: There is none of that name.
        """
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise RecipeError(f'no stage {name!r} in {self.path}: its stages are '
                          f'{", ".join(stage.name for stage in self.stages)}')


def read_recipe(path: Union[str, os.PathLike]) -> Recipe:
    """Read and check a recipe.

    Args:
        path: A file of mmengine's config format with ``title``, ``stages`` and, if need be, ``data_root`` and ``data``,
            stages that come first; one of mmwsss may be named as ``configs/...`` from any folder.

    Returns:
        Recipe: Its stages have names of their own, known kinds, the keys these need and no others, and need earlier
        stages only.

    Raises:
        FileNotFoundError: There is no such file.
        RecipeError: A key or a value is wrong.
    """
    cfg = Config.fromfile(find_config(path), format_python_code=False)
    known = ('title', 'data_root', 'data', 'stages', 'custom_imports')
    for key in cfg:
        _check_key(key, known, f'recipe {path}')
    if not cfg.get('title') or not cfg.get('stages'):
        raise RecipeError(f'recipe {path} needs a title and a list of stages')
    stages: list[Stage] = []
    for number, item in enumerate([*cfg.get('data', []), *cfg.stages], start=1):
        if not isinstance(item, dict):
            raise RecipeError(f'stage {number} of {path} must be a dict, got {item!r}')
        stages.append(_read_stage(dict(item), f'stage {item.get("name") or number} of {path}', stages))
    return Recipe(cfg.title, tuple(stages), cfg.get('data_root'), str(path))


def _read_stage(item: dict[str, Any], where: str, earlier: list[Stage]) -> Stage:
    missing = [key for key in ('name', 'kind') if not item.get(key)]
    if missing:
        raise RecipeError(f'{where} has no {" and no ".join(missing)}')
    if item['kind'] not in STAGE_KINDS:
        raise RecipeError(f'{where}: kind must be one of {", ".join(sorted(STAGE_KINDS))}, got {item["kind"]!r}')
    kind = STAGE_KINDS[item['kind']]
    for key in item:
        _check_key(key, (*COMMON_KEYS, *kind.required, *kind.optional), f'{where} ({item["kind"]})')
    for key in kind.required:
        if not item.get(key):
            raise RecipeError(f'{where}: a stage of kind {item["kind"]} needs {key}')
    if item['name'] in [stage.name for stage in earlier]:
        raise RecipeError(f'{where}: there are two stages of this name')
    for key in {'args', 'report', 'creates'} & item.keys():
        item[key] = _strings(item[key], f'{where}: {key}')
    for key in {'cfg_options', 'short'} & item.keys():
        item[key] = dict(item[key])
    stage = Stage(**item)
    for key in stage.short:
        _check_key(key, [entry.name for entry in fields(Stage)], f'{where}: short')
    _check_needs(stage, where, earlier)
    return stage


def _check_key(key: str, allowed: Any, where: str) -> None:
    if key not in allowed:
        raise RecipeError(f'{where}: unknown key {key!r}{closest(key, allowed)}; allowed: {", ".join(allowed)}')


def _strings(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise RecipeError(f'{where} must be a list, got {value!r}')
    return tuple(map(str, value))


def _check_needs(stage: Stage, where: str, earlier: list[Stage]) -> None:
    for key, gift in NEEDS.items():
        name = getattr(stage, key)
        givers = [other.name for other in earlier if STAGE_KINDS[other.kind].gives == gift]
        if name and name not in givers:
            raise RecipeError(f'{where}: {key} must name an earlier stage that gives it, got {name!r}; there '
                              f'{"are " + ", ".join(givers) if givers else "is none"}')


def shortened(recipe: Recipe) -> Recipe:
    """Give the recipe of a short run: trainings of one epoch or four iterations, and what stages say in ``short``."""
    return replace(recipe, stages=tuple(map(_shortened, recipe.stages)))


def _shortened(stage: Stage) -> Stage:
    changes = dict(stage.short)
    for key in {'args', 'report', 'creates'} & changes.keys():
        changes[key] = _strings(changes[key], f'stage {stage.name}: short.{key}')
    length = _short_length(Config.fromfile(find_config(stage.config))) if stage.kind == 'train' else {}
    changes['cfg_options'] = {**stage.cfg_options, **length, **changes.get('cfg_options', {})}
    return replace(stage, **changes)


def _short_length(cfg: Config) -> dict:
    key, length = ('max_epochs', 1) if 'max_epochs' in cfg.train_cfg else ('max_iters', 4)
    return {f'train_cfg.{key}': length, 'train_cfg.val_interval': length,
            'default_hooks.checkpoint.interval': length, 'default_hooks.logger.interval': 1}
