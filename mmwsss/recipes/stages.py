"""The kinds of stages: the command that each runs, its outputs and its results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from mmengine.config import Config

from mmwsss.analysis import draw_label_sheet
from mmwsss.datasets.coco import read_mask_as_category_ids
from mmwsss.datasets.map_files import read_label_map
from mmwsss.utils.cli import read_config_file
from mmwsss.utils.commands import cfg_options_arguments, relative_path
from mmwsss.utils.results import RESULTS_FILE, read_results

from .config_data import class_arguments, has_category_ids, label_dir_key, list_datasets, mask_dir, split_file
from .preview import count_images, describe_list, describe_training
from .schema import STAGES, RecipeContext, RecipeError, Stage
from .units import count_files, logged_iterations

__all__ = ['CamTable', 'CheckpointStage', 'EvaluateLabels', 'PseudoLabels', 'Script', 'Test', 'Train']


@STAGES.register_module(name='train')
@dataclass(frozen=True)
class Train(Stage):
    """Train a model; the results are the metrics of the validation after the last epoch or iteration.

    Args:
        config: The config.
        cfg_options: Overrides of the config by dotted key.
        labels: The stage whose pseudo labels the model is trained on.
    """

    config: Optional[str] = None
    cfg_options: dict = field(default_factory=dict)
    labels: Optional[str] = None

    required = ('config', )
    provides = 'checkpoint'

    def command(self, context: RecipeContext) -> list[str]:
        """Build the command for training, or for testing if only the last validation is missing.

        Raises:
            RecipeError: The batch cannot be divided among the processes, or the training data take no pseudo labels.
        """
        cfg, checkpoint = context.config(self), self.provided_path(context)
        if checkpoint.is_file() and cfg.get('val_dataloader') and not self.results_file(context):
            return _test_command(self, context, relative_path(checkpoint), self._test_dir(context))
        options = dict(self.cfg_options)
        try:
            options.update(context.tools.batch_size_options(cfg.train_dataloader.batch_size))
        except ValueError as error:
            raise RecipeError(f'stage {self.name}: {error}') from error
        if self.labels:
            options[label_dir_key(cfg, self)] = context.input_path(self.labels)
        flags = ['--work-dir', relative_path(context.stage_dir(self)), '--resume', *context.data_root_arguments(),
                 *context.arguments(self), *cfg_options_arguments(options)]
        return context.tools.command('train.py', context.config_path(self), flags=flags, distributed=True)

    def provided_path(self, context: RecipeContext) -> Path:
        """Return the checkpoint of the last epoch or iteration."""
        unit, length = self._length(context)
        return context.stage_dir(self) / f'{unit}_{length}.pth'

    def results_file(self, context: RecipeContext) -> Optional[Path]:
        """Return the results of the training if its last validation is among them, or else those of the test."""
        unit, length = self._length(context)
        trained = super().results_file(context)
        if trained and read_results(trained).get(unit) == length:
            return trained
        tested = self._test_dir(context) / RESULTS_FILE
        return tested if tested.is_file() else None

    def results(self, context: RecipeContext) -> dict[str, float]:
        """Return the metrics; none if the config has no validation.

        Raises:
            RecipeError: The last validation is missing.
        """
        if not context.config(self).get('val_dataloader'):
            return {}
        if not self.results_file(context):
            raise RecipeError(f'stage {self.name} ended without a validation after the last iteration; run the same '
                              'command again to test its checkpoint')
        return super().results(context)

    def image_list(self, context: RecipeContext) -> Optional[Path]:
        """Return the list of validation images; None if the config has no validation."""
        cfg = context.config(self)
        return split_file(cfg, 'val') if cfg.get('val_dataloader') else None

    def details(self, context: RecipeContext) -> list[str]:
        """Return lines about the images, the batches and the length of the training, and its validation images."""
        cfg, validation = context.config(self), self.image_list(context)
        return [*describe_training(cfg, context.tools.num_processes),
                *([f'validation: {describe_list(validation, cfg)}'] if validation else [])]

    def done_units(self, context: RecipeContext) -> Optional[int]:
        """Return the number of iterations that the log of the training has come to."""
        return logged_iterations(context.stage_dir(self))

    def short_cfg_options(self) -> dict:
        """Return the options for training one epoch or four iterations."""
        cfg = read_config_file(self.config)
        key, length = ('max_epochs', 1) if 'max_epochs' in cfg.train_cfg else ('max_iters', 4)
        return {f'train_cfg.{key}': length, 'train_cfg.val_interval': length,
                'default_hooks.checkpoint.interval': length, 'default_hooks.logger.interval': 1}

    def _test_dir(self, context: RecipeContext) -> Path:
        return context.stage_dir(self) / 'test'

    def _length(self, context: RecipeContext) -> tuple[str, int]:
        """Return the unit, ``'epoch'`` or ``'iter'``, in which checkpoints are counted, and the length of training.

        Raises:
            RecipeError: Checkpoints are counted in epochs and the training in iterations, or the other way round.
        """
        cfg = context.config(self)
        by_epoch = cfg.default_hooks.checkpoint.get('by_epoch', True)
        unit = 'epoch' if by_epoch else 'iter'
        length = cfg.train_cfg.get(f'max_{unit}s')
        if length is None:
            raise RecipeError(f'stage {self.name}: default_hooks.checkpoint.by_epoch is {by_epoch}, but train_cfg has '
                              f'no max_{unit}s, so the name of the last checkpoint is unknown')
        return unit, length


@dataclass(frozen=True)
class CheckpointStage(Stage):
    """Base class of the stages that use a trained model.

    Args:
        checkpoint: The stage that trained the model.
        config: The config. Defaults to that of ``checkpoint``, with its overrides.
        cfg_options: Overrides of the config by dotted key.
    """

    checkpoint: Optional[str] = None
    config: Optional[str] = None
    cfg_options: dict = field(default_factory=dict)

    required = ('checkpoint', )

    def flags(self, context: RecipeContext) -> list[str]:
        """Return the flags that the commands of these stages end with."""
        return [*context.data_root_arguments(), *context.arguments(self),
                *cfg_options_arguments(context.cfg_options(self))]


def threshold_arguments(threshold: Optional[str], context: RecipeContext) -> list[str]:
    """Return the flag ``--threshold`` with the suggestion of another stage, or nothing without one."""
    return ['--threshold', context.input_path(threshold)] if threshold else []


@STAGES.register_module(name='test')
@dataclass(frozen=True)
class Test(CheckpointStage):
    """Test a model."""

    def command(self, context: RecipeContext) -> list[str]:
        """Build the command."""
        return _test_command(self, context, context.input_path(self.checkpoint), context.stage_dir(self),
                             context.arguments(self))

    def image_list(self, context: RecipeContext) -> Path:
        """Return the list of test images."""
        return split_file(context.config(self), 'test')


@STAGES.register_module(name='pseudo-labels')
@dataclass(frozen=True)
class PseudoLabels(CheckpointStage):
    """Make pseudo labels; the results are the shares of background and ignored pixels.

    Args:
        split: ``train``, ``val``, ``test`` or a list of image ids. Defaults to ``train``.
        cams: The stage whose saved CAMs are refined by the affinities of ``checkpoint``.
        threshold: The stage that suggests the background score. Defaults to that of the config.
        report: See :class:`Stage`. Defaults to no metrics.
    """

    report: tuple = ()
    split: str = ''
    cams: Optional[str] = None
    threshold: Optional[str] = None

    provides = 'labels'

    def command(self, context: RecipeContext) -> list[str]:
        """Build the command."""
        cams = ['--cams', context.input_path(self.cams)] if self.cams else []
        split = ['--split', context.fill(self.split, self)] if self.split else []
        return context.tools.command(
            'make_pseudo_labels.py', context.config_path(self), context.input_path(self.checkpoint), flags=[
                '--out-dir', relative_path(self.provided_path(context)), *cams, *split,
                *threshold_arguments(self.threshold, context), *self.flags(context)],
            distributed=True)

    def provided_path(self, context: RecipeContext) -> Path:
        """Return the folder of labels."""
        return context.stage_dir(self) / 'labels'

    def done_units(self, context: RecipeContext) -> int:
        """Return the number of label maps."""
        return count_files(self.provided_path(context), '.png')

    def results_file(self, context: RecipeContext) -> Optional[Path]:
        """Return the ``results.json`` in the folder of labels, or None if there is none."""
        path = self.provided_path(context) / RESULTS_FILE
        return path if path.is_file() else None

    def image_list(self, context: RecipeContext) -> Path:
        """Return the list of the images that get labels."""
        return split_file(context.config(self), context.fill(self.split or 'train', self))


@STAGES.register_module(name='evaluate-labels')
@dataclass(frozen=True)
class EvaluateLabels(Stage):
    """Compare pseudo labels with the masks that the config of their model validates with.

    Args:
        labels: The stage that made the labels.
        split: A list of image ids, ``train``, ``val`` or ``test``. Defaults to the images of ``labels``.
    """

    labels: Optional[str] = None
    split: str = ''

    required = ('labels', )

    def command(self, context: RecipeContext) -> list[str]:
        """Build the command."""
        cfg, images = self._data_config(context), self.image_list(context)
        flags = ['--gt-dir', relative_path(mask_dir(cfg, images)), '--split', relative_path(images), '--label-dir',
                 context.input_path(self.labels), *class_arguments(cfg), '--json',
                 relative_path(context.stage_dir(self) / RESULTS_FILE), *context.arguments(self)]
        return context.tools.command('eval_pseudo_labels.py', flags=flags)

    def details(self, context: RecipeContext) -> list[str]:
        """Return a line about the images whose labels are compared."""
        return [f'images: {describe_list(self.image_list(context), self._data_config(context))}']

    def figure(self, context: RecipeContext) -> Optional[Path]:
        """Draw labels beside masks."""
        cfg, images = self._data_config(context), self.image_list(context)
        _, root, dataset, _ = next(list_datasets(cfg))
        photos = root / (dataset.get('data_prefix') or {}).get('img_path', '')
        labels = context.recipe.stage(self.labels).provided_path(context)
        return draw_label_sheet(photos, labels, mask_dir(cfg, images), images, context.stage_dir(self) / 'labels.png',
                                read_mask=read_mask_as_category_ids if has_category_ids(cfg) else read_label_map)

    def _data_config(self, context: RecipeContext) -> Config:
        """Return the config that knows where the masks are: not that of an AffinityNet, but of the CAMs it refines."""
        labels = context.recipe.stage(self.labels)
        cams = getattr(labels, 'cams', None)
        return context.config(context.recipe.stage(cams) if cams else labels)

    def image_list(self, context: RecipeContext) -> Path:
        """Return the list of the images whose labels are compared."""
        labels = context.recipe.stage(self.labels)
        split = self.split or getattr(labels, 'split', '') or 'train'
        return split_file(context.config(labels), context.fill(split, self))


def _without_model(name: str, labels: Sequence[str]) -> str:
    """Turn ``MODEL SETTING=VALUE MAP METRIC`` into ``MAP SETTING=VALUE METRIC``."""
    label = max((label for label in labels if name.startswith(f'{label} ')), key=len, default='')
    if not label:
        return name
    found, _, metric = name.removeprefix(f'{label} ').rpartition(' ')
    return ' '.join(filter(None, [found, label.partition(' ')[2], metric]))


@STAGES.register_module(name='cam-table')
@dataclass(frozen=True)
class CamTable(CheckpointStage):
    """Evaluate all CAMs of a model, or one of them with several values of a setting.

    Args:
        split: ``train``, ``val`` or a list of image ids. Defaults to ``train``.
    """

    split: str = 'train'

    def command(self, context: RecipeContext) -> list[str]:
        """Build the command."""
        return context.tools.command(
            'analyze.py', 'cam-table', context.config_path(self), context.input_path(self.checkpoint), flags=[
                '--split', context.fill(self.split, self), '--out', relative_path(context.stage_dir(self)),
                *self.flags(context)], distributed=True)

    def output_paths(self, context: RecipeContext) -> list[Path]:
        """Return the file with all numbers."""
        return [context.stage_dir(self) / 'cam-table.json']

    def results_file(self, context: RecipeContext) -> Optional[Path]:
        """Return the file with all numbers, or None if there is none."""
        path, = self.output_paths(context)
        return path if path.is_file() else None

    def results(self, context: RecipeContext) -> dict[str, float]:
        """Return the mIoU of each map by its name, with the value of the setting if one is swept."""
        path = self.results_file(context)
        labels = [run['label'] for run in (read_results(path).get('runs', []) if path else [])]
        return {_without_model(name, labels): value for name, value in super().results(context).items()}

    def image_list(self, context: RecipeContext) -> Path:
        """Return the list of the images: for ``train``, the list of this name beside that of the test images."""
        cfg = context.config(self)
        if self.split not in ('train', 'val'):
            return Path(context.fill(self.split, self))
        path = split_file(cfg, 'test')
        if self.split == 'val':
            return path
        beside = path.with_name('train.txt')
        return beside if count_images(beside, cfg)[0] is not None else split_file(cfg, 'train')

    def split_name(self, context: RecipeContext) -> str:
        """Return ``train``, ``val`` or the name of the list without its suffix."""
        return Path(self.split).stem

    def figure(self, context: RecipeContext) -> Optional[Path]:
        """Return the plot over thresholds, or over the values of the setting."""
        return context.stage_dir(self) / 'cam-table.png'


@STAGES.register_module(name='script')
@dataclass(frozen=True)
class Script(Stage):
    """Run any tool.

    Args:
        script: Path of the tool, relative to ``tools/``.
        outputs: Files and folders that the tool makes; ``{data_root}`` and ``{out}`` are replaced.
    """

    script: Optional[str] = None
    outputs: tuple = ()

    required = ('script', 'outputs')

    def command(self, context: RecipeContext) -> list[str]:
        """Build the command."""
        return context.tools.command(self.script, *context.arguments(self))

    def output_paths(self, context: RecipeContext) -> list[Path]:
        """Return the files and folders that the recipe names."""
        return [Path(context.fill(path, self)) for path in self.outputs]


def _test_command(stage: Stage, context: RecipeContext, checkpoint: str, work_dir: Path,
                  arguments: Sequence[str] = ()) -> list[str]:
    flags = ['--work-dir', relative_path(work_dir), *context.data_root_arguments(), *arguments,
             *cfg_options_arguments(context.cfg_options(stage))]
    return context.tools.command('test.py', context.config_path(stage), checkpoint, flags=flags, distributed=True)
