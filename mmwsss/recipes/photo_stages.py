"""The kinds of stages for photographs without masks: the background score of CAMs, and predictions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from mmwsss.datasets.label_folder import PREDICTIONS
from mmwsss.utils.commands import cfg_options_arguments, relative_path

from .schema import STAGES, STARTED, RecipeContext
from .stages import CheckpointStage, threshold_arguments
from .units import count_files

__all__ = ['Predict', 'SuggestThreshold']


@STAGES.register_module(name='suggest-threshold')
@dataclass(frozen=True)
class SuggestThreshold(CheckpointStage):
    """Suggest the background score of CAMs without masks; the first argument in ``args`` is the folder of photographs.

    Args:
        report: See :class:`Stage`. Defaults to no metrics.
    """

    report: tuple = ()

    provides = 'threshold'

    def command(self, context: RecipeContext) -> list[str]:
        """Build the command."""
        photos, *flags = context.arguments(self)
        folder = context.stage_dir(self)
        return context.tools.command(
            'analysis_tools/suggest_threshold.py', context.config_path(self), context.input_path(self.checkpoint),
            photos, flags=['--out', relative_path(self.provided_path(context)), '--sheet',
                           relative_path(folder / 'sheet.png'), *flags,
                           *cfg_options_arguments(context.cfg_options(self))])

    def provided_path(self, context: RecipeContext) -> Path:
        """Return the suggestion."""
        return context.stage_dir(self) / 'threshold.json'

    def figure(self, context: RecipeContext) -> Path:
        """Return the photographs at several thresholds."""
        return context.stage_dir(self) / 'sheet.png'


@STAGES.register_module(name='predict')
@dataclass(frozen=True)
class Predict(CheckpointStage):
    """Predict photographs; the first arguments in ``args`` are the inputs.

    Args:
        report: See :class:`Stage`. Defaults to no metrics.
        threshold: The stage that suggests the background score of CAMs. Defaults to that of the config.
    """

    report: tuple = ()
    threshold: Optional[str] = None

    def command(self, context: RecipeContext) -> list[str]:
        """Build the command."""
        arguments = context.arguments(self)
        split = next((k for k, text in enumerate(arguments) if text.startswith('-')), len(arguments))
        return context.tools.command(
            'predict.py', context.config_path(self), context.input_path(self.checkpoint), *arguments[:split],
            flags=['--out-dir', relative_path(self.result_dir(context)), *threshold_arguments(self.threshold, context),
                   *arguments[split:], *cfg_options_arguments(context.cfg_options(self))])

    def result_dir(self, context: RecipeContext) -> Path:
        """Return the folder of the predictions."""
        return context.stage_dir(self) / 'result'

    def done_units(self, context: RecipeContext) -> int:
        """Return the number of masks that were written since the stage was started."""
        started = context.stage_dir(self) / STARTED
        since = started.stat().st_mtime if started.is_file() else 0.
        return count_files(self.result_dir(context) / 'masks', '.png', since)

    def output_paths(self, context: RecipeContext) -> list[Path]:
        """Return the masks and the list of predictions."""
        return [self.result_dir(context) / 'masks', self.result_dir(context) / PREDICTIONS]
