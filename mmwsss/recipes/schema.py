"""What a recipe may contain: read a recipe config, check it, and resolve what its stages refer to."""

from __future__ import annotations

import argparse
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, ClassVar, Optional, Union

from mmengine.config import Config
from mmengine.registry import Registry

from mmwsss.datasets.config import dataset_configs, load_config
from mmwsss.utils import closest
from mmwsss.utils.cli import find_config, read_config_file
from mmwsss.utils.commands import ToolCommands, relative_path
from mmwsss.utils.errors import UserError
from mmwsss.utils.results import RESULTS_FILE, read_results

from .preview import describe_list

__all__ = ['RECIPE_KEYS', 'STAGES', 'STARTED', 'Recipe', 'RecipeContext', 'RecipeError', 'Stage', 'build_recipe',
           'check_recipe_keys', 'read_recipe', 'shorten_recipe']

STAGES = Registry('recipe stage', scope='mmwsss')
"""Registry: the stage classes by the ``kind`` that recipes name."""

STARTED = 'started.json'
"""str: File in the folder of a stage that is written when its command starts."""
INPUTS = {'checkpoint': 'checkpoint', 'labels': 'labels', 'cams': 'labels', 'threshold': 'threshold'}
"""dict: Keys by which a stage names an earlier stage, and what that stage must provide."""

RECIPE_KEYS = ('title', 'data_root', 'data', 'stages', 'classes', 'label_file', 'about', 'claims', 'custom_imports')
"""tuple: Keys of a recipe."""
RENAMED_KEYS = {'creates': 'outputs'}
LIST_KEYS = ('args', 'report', 'outputs')
DICT_KEYS = ('cfg_options', 'short')


class RecipeError(UserError):
    """A recipe is wrong or cannot be run; the message is meant for the user."""


@dataclass(frozen=True)
class Stage(ABC):
    """Base class of the stages: one command of a recipe, its outputs and its results.

    The fields of a subclass, which must be a dataclass too, are the keys that its stages may have in a recipe.

    Args:
        name: Name of the stage and of its folder.
        kind: Name of the subclass in :data:`STAGES`.
        title: Name in the report. Defaults to ``name``.
        args: Further arguments of the command. ``{data_root}`` and ``{out}`` are replaced.
        report: Names or patterns of the metrics that the report shows. All metrics are kept in ``stage.json``.
        short: Values of other keys in a short run.
    """

    name: str
    kind: str
    title: str = ''
    args: tuple = ()
    report: tuple = ('*mIoU', )
    short: dict = field(default_factory=dict)

    required: ClassVar[tuple[str, ...]] = ()
    """Keys that must be given."""
    provides: ClassVar[Optional[str]] = None
    """What later stages can use: ``'checkpoint'``, ``'labels'``, ``'threshold'`` or nothing."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the stages whose outputs this stage uses."""
        return tuple(name for name in (getattr(self, key, None) for key in INPUTS) if name)

    @abstractmethod
    def command(self, context: RecipeContext) -> list[str]:
        """Build the command: ``python`` or ``bash`` and its arguments."""

    def provided_path(self, context: RecipeContext) -> Path:
        """Return the checkpoint, the labels or the threshold that later stages use, if the stage provides one."""
        raise NotImplementedError(f'a stage of kind {self.kind} provides nothing')

    def output_paths(self, context: RecipeContext) -> list[Path]:
        """Return the files and folders whose content is the outcome of the stage."""
        return [self.provided_path(context) if self.provides else context.stage_dir(self) / RESULTS_FILE]

    def results_file(self, context: RecipeContext) -> Optional[Path]:
        """Return the ``results.json`` that the command wrote, or None if there is none."""
        path = context.stage_dir(self) / RESULTS_FILE
        return path if path.is_file() else None

    def results(self, context: RecipeContext) -> dict[str, float]:
        """Return the metrics by name, rounded to two digits, without those that are not finite."""
        path = self.results_file(context)
        metrics = read_results(path)['metrics'] if path else {}
        return {name: round(value, 2) for name, value in metrics.items() if value is not None}

    def reported(self, results: dict[str, float]) -> dict[str, float]:
        """Return those of the results that the report shows."""
        return {name: value for name, value in results.items()
                if any(fnmatch(name, pattern) for pattern in self.report)}

    def image_list(self, context: RecipeContext) -> Optional[Path]:
        """Return the list of the images that the results are about, or None if there is none."""
        return None

    def split_name(self, context: RecipeContext) -> str:
        """Return the name of the images that the results are about."""
        path = self.image_list(context)
        return path.stem if path else ''

    def details(self, context: RecipeContext) -> list[str]:
        """Return lines for the preview: the lists of images, and the batches and the length of a training."""
        path = self.image_list(context)
        return [f'images: {describe_list(path, context.config(self))}'] if path else []

    def done_units(self, context: RecipeContext) -> Optional[int]:
        """Return how much of a running stage is done, in iterations or files; None if that cannot be seen."""
        return None

    def figure(self, context: RecipeContext) -> Optional[Path]:
        """Return the image that the report shows, by default the latest of ``vis_data``, or None."""
        sheets = context.stage_dir(self).glob('**/vis_data/*.png')
        return max(sheets, key=lambda path: path.stat().st_mtime, default=None)

    def short_cfg_options(self) -> dict:
        """Return the config options that make a short run of the stage."""
        return {}


@dataclass(frozen=True)
class Recipe:
    """A recipe as read from its config.

    Args:
        title: Heading of the report.
        stages: The stages in their order.
        data_root: Data set for ``{data_root}`` if the command line names none.
        classes: Foreground classes that replace those of all configs, as after ``--classes``. ``{data_root}`` and
            ``{out}`` are replaced.
        label_file: Image labels that replace those of all configs, as after ``--label-file``, likewise.
        about: What is run, in sentences, for the page of claims.
        claims: What the results are to show; see :func:`~mmwsss.recipes.claims.read_claims`.
        path: The config.
        repeated: Names of the stages that repeat a stage with several seeds, by the name of that stage.
    """

    title: str
    stages: tuple[Stage, ...]
    data_root: Optional[str] = None
    path: str = ''
    classes: Optional[str] = None
    label_file: Optional[str] = None
    about: str = ''
    claims: tuple = ()
    repeated: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the default output folder, ``<method>_<file name>``."""
        path = Path(self.path)
        return f'{path.parent.name}_{path.stem}'

    def stage(self, name: str) -> Stage:
        """Return the stage of this name.

        Raises:
            RecipeError: There is no such stage.
        """
        names = [stage.name for stage in self.stages]
        if name not in names:
            raise RecipeError(f'no stage {name!r} in {self.path}{closest(name, names)}; its stages are '
                              f'{", ".join(names)}')
        return self.stages[names.index(name)]


@dataclass
class RecipeContext:
    """What the stages of a recipe share when they run.

    Args:
        recipe: The recipe.
        work_dir: Folder of all outputs, with a folder for each stage.
        tools: Builds the commands.
        data_root: Data set that replaces that of the configs. Defaults to None: the configs stay as they are.
    """

    recipe: Recipe
    work_dir: Path
    tools: ToolCommands
    data_root: Optional[str] = None
    _configs: dict = field(default_factory=dict, repr=False)

    def stage_dir(self, stage: Stage) -> Path:
        """Return the folder of a stage."""
        return self.work_dir / stage.name

    def input_path(self, name: str) -> str:
        """Return the path of the checkpoint or labels that the stage of this name provides."""
        return relative_path(self.recipe.stage(name).provided_path(self))

    def fill(self, text: str, stage: Optional[Stage] = None) -> str:
        """Replace ``{data_root}`` and ``{out}`` in a value of a stage, or of the recipe itself.

        Raises:
            RecipeError: ``{data_root}`` is used, but neither the recipe nor the command line names a data set.
        """
        root = self.data_root or self.recipe.data_root
        if '{data_root}' in text and root is None:
            user = f'stage {stage.name}' if stage else f'recipe {self.recipe.path}'
            raise RecipeError(f'{user} uses {{data_root}}: give --data-root, or data_root in the recipe')
        return text.replace('{data_root}', root or '').replace('{out}', relative_path(self.work_dir))

    def arguments(self, stage: Stage) -> list[str]:
        """Return the further arguments of a stage's command."""
        return [self.fill(argument, stage) for argument in stage.args]

    def data_root_arguments(self) -> list[str]:
        """Return the flags that name the data, or nothing if the configs' own data are used."""
        named = {'--data-root': self.data_root and relative_path(self.data_root), **self._class_flags()}
        return [part for flag, value in named.items() if value for part in (flag, value)]

    def _class_flags(self) -> dict[str, str]:
        """Return the flags for the classes and image labels that the recipe names."""
        named = {'--classes': self.recipe.classes, '--label-file': self.recipe.label_file}
        return {flag: self.fill(value) for flag, value in named.items() if value}

    def config_name(self, stage: Stage) -> Optional[str]:
        """Return the config of a stage, or of the stage whose checkpoint it uses."""
        config, checkpoint = getattr(stage, 'config', None), getattr(stage, 'checkpoint', None)
        return config if config or not checkpoint else self.config_name(self.recipe.stage(checkpoint))

    def config_path(self, stage: Stage) -> str:
        """Return the config of a stage as a user would type it."""
        name = self.config_name(stage)
        return name if name.startswith('configs/') else relative_path(find_config(name))

    def cfg_options(self, stage: Stage) -> dict:
        """Return the config options of a stage, added to those of the stage from which it takes its config."""
        options = getattr(stage, 'cfg_options', {})
        config, checkpoint = getattr(stage, 'config', None), getattr(stage, 'checkpoint', None)
        return options if config or not checkpoint else {**self.cfg_options(self.recipe.stage(checkpoint)), **options}

    def config(self, stage: Stage) -> Config:
        """Read the config of a stage, with its options and the data root.

        Raises:
            RecipeError: There is none, or it cannot be read.
        """
        name = self.config_name(stage)
        if name is None:
            raise RecipeError(f'stage {stage.name} has no config')
        exists = self.data_root is not None and Path(self.data_root).is_dir()
        flags = self._class_flags() if exists else {}
        labels = flags.get('--label-file')
        labels = labels if labels and Path(labels).is_file() else None  # an earlier stage makes it
        key = stage.name, exists, labels
        if key not in self._configs:
            args = argparse.Namespace(config=name, data_root=self.data_root if exists else None,
                                      classes=flags.get('--classes'), label_file=labels,
                                      cfg_options=dict(self.cfg_options(stage)))
            try:
                cfg = load_config(args)
            except (OSError, KeyError, ValueError) as error:
                raise RecipeError(f'stage {stage.name}, config {name}: {error}') from error
            if self.data_root and not exists:  # the first stage will make it
                for _, dataset, _ in dataset_configs(cfg):
                    dataset.data_root = self.data_root
            self._configs[key] = cfg
        return self._configs[key]


def read_recipe(path: Union[str, os.PathLike]) -> Recipe:
    """Read a recipe and check it.

    Args:
        path: A config with ``title``, ``stages`` and optionally ``data_root`` and ``data``, a list of stages that come
            first. A recipe of mmwsss may be named as ``configs/...`` from any folder.

    Raises:
        FileNotFoundError: There is no such file.
        RecipeError: A key or a value is wrong.
    """
    cfg = read_config_file(path)
    check_recipe_keys(cfg, RECIPE_KEYS, f'recipe {path}')
    return build_recipe(cfg, path)


def build_recipe(cfg: Config, path: Union[str, os.PathLike]) -> Recipe:
    """Build a recipe from its config and check it.

    Args:
        cfg: With ``title``, ``stages`` and optionally ``data_root`` and ``data``; other keys are not looked at.
        path: The file, for messages and for the name of the default output folder.

    Raises:
        RecipeError: A key of a stage or a value is wrong.
    """
    if not cfg.get('title') or not cfg.get('stages'):
        raise RecipeError(f'recipe {path} needs a title and a list of stages')
    stages: list[Stage] = []
    for number, item in enumerate([*cfg.get('data', []), *cfg.stages], start=1):
        if not isinstance(item, dict):
            raise RecipeError(f'stage {number} of {path} must be a dict, got {item!r}')
        where = f'stage {item.get("name") or number} of {path}'
        stage = _read_stage(dict(item), where)
        if stage.name in [other.name for other in stages]:
            raise RecipeError(f'{where}: there are two stages of this name')
        _check_inputs(stage, where, stages)
        stages.append(stage)
    return Recipe(cfg.title, tuple(stages), cfg.get('data_root'), str(path), cfg.get('classes'), cfg.get('label_file'),
                  cfg.get('about', ''), tuple(map(dict, cfg.get('claims', ()))))


def shorten_recipe(recipe: Recipe) -> Recipe:
    """Return the recipe of a short run: one epoch or four iterations of training; the keys in ``short`` apply."""
    return replace(recipe, stages=tuple(map(_shorten_stage, recipe.stages)))


def _shorten_stage(stage: Stage) -> Stage:
    changes = dict(stage.short)
    if hasattr(stage, 'cfg_options'):
        changes['cfg_options'] = {**stage.cfg_options, **stage.short_cfg_options(), **changes.get('cfg_options', {})}
    return replace(stage, **changes)


def _read_stage(item: dict[str, Any], where: str) -> Stage:
    missing = [key for key in ('name', 'kind') if not item.get(key)]
    if missing:
        raise RecipeError(f'{where} has no {" and no ".join(missing)}')
    stage_classes = STAGES.module_dict
    if item['kind'] not in stage_classes:
        raise RecipeError(f'{where}: kind must be one of {", ".join(sorted(stage_classes))}, got {item["kind"]!r}'
                          f'{closest(item["kind"], stage_classes)}')
    stage_class = stage_classes[item['kind']]
    keys = [entry.name for entry in fields(stage_class)]
    check_recipe_keys(item, keys, f'{where} ({item["kind"]})')
    for key in stage_class.required:
        if not item.get(key):
            raise RecipeError(f'{where}: a stage of kind {item["kind"]} needs {key}')
    item = _convert_values(item, where)
    check_recipe_keys(item.get('short', {}), keys, f'{where}: short')
    if 'short' in item:
        item['short'] = _convert_values(item['short'], f'{where}: short')
    return stage_class(**item)


def check_recipe_keys(given: Iterable[str], allowed: Iterable[str], where: str) -> None:
    """Check the keys of a part of a recipe.

    Args:
        given: Its keys.
        allowed: The keys that it may have.
        where: The part, for the message.

    Raises:
        RecipeError: A key is not allowed; the message names a similar one that is.
    """
    for key in given:
        if key in RENAMED_KEYS and key not in allowed:
            raise RecipeError(f'{where}: the key {key!r} is now called {RENAMED_KEYS[key]!r}')
        if key not in allowed:
            raise RecipeError(f'{where}: unknown key {key!r}{closest(key, allowed)}; allowed: {", ".join(allowed)}')


def _convert_values(item: dict[str, Any], where: str) -> dict[str, Any]:
    """Turn lists into tuples of strings, and config dictionaries into plain ones."""
    item = dict(item)
    for key in item.keys() & set(LIST_KEYS):
        if not isinstance(item[key], (list, tuple)):
            raise RecipeError(f'{where}: {key} must be a list, got {item[key]!r}')
        item[key] = tuple(map(str, item[key]))
    for key in item.keys() & set(DICT_KEYS):
        if not isinstance(item[key], dict):
            raise RecipeError(f'{where}: {key} must be a dict, got {item[key]!r}')
        item[key] = dict(item[key])
    return item


def _check_inputs(stage: Stage, where: str, earlier: list[Stage]) -> None:
    for key, needed in INPUTS.items():
        name = getattr(stage, key, None)
        suitable = [other.name for other in earlier if other.provides == needed]
        if name and name not in suitable:
            choices = f'these do: {", ".join(suitable)}' if suitable else 'none does'
            raise RecipeError(f'{where}: {key} must name an earlier stage that provides {needed}, got {name!r}'
                              f'{closest(name, suitable)}; {choices}')
