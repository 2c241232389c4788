"""The kinds of stages: which commands they are, what they leave, and which numbers and pictures are in it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Optional

from mmengine.config import Config

from .kinds import Commands, StageKind, stage_kind
from .launch import cfg_option_words, shown_path
from .pictures import draw_labels
from .place import Place, class_words, label_dir_key, masks_of, split_file
from .recipe import RecipeError, Stage

__all__ = ['CamTable', 'EvaluateLabels', 'PseudoLabels', 'Script', 'Test', 'Train']


@stage_kind('train')
class Train(StageKind):
    """``train.py`` or ``dist_train.sh``; its numbers are those of the validation at the end."""

    required = ('config', )
    optional = ('cfg_options', 'labels')
    gives = 'checkpoint'

    def commands(self, stage: Stage, place: Place) -> Commands:
        """Train; where only the last validation is missing, test instead.

        Raises:
            RecipeError: The batch cannot be spread over the processes.
        """
        folder, config = place.folder(stage), place.shown_config(stage)
        checkpoint, _ = final_checkpoint(stage, place)
        options = dict(stage.cfg_options)
        cfg = place.config(stage)
        if checkpoint.is_file() and cfg.get('val_dataloader') and not self._validation(stage, place):
            return [place.tools.test(config, shown_path(checkpoint), '--work-dir', shown_path(folder),
                                     *place.data_flags(), *cfg_option_words(options))]
        try:
            options.update(place.tools.batch_options(cfg.train_dataloader.batch_size))
        except ValueError as error:
            raise RecipeError(f'stage {stage.name}: {error}') from error
        if stage.labels:
            key = label_dir_key(cfg, f'stage {stage.name}')
            options[key] = shown_path(label_folder(stage.labels, place))
        return [place.tools.train(config, '--work-dir', shown_path(folder), '--resume', *place.data_flags(),
                                  *place.words(stage), *cfg_option_words(options))]

    def outputs(self, stage: Stage, place: Place) -> list[Path]:
        """The checkpoint of the last iteration."""
        return [final_checkpoint(stage, place)[0]]

    def results(self, stage: Stage, place: Place) -> dict[str, float]:
        """Read the validation after the last iteration, or the test that made up for it; none without masks.

        Raises:
            RecipeError: There has been neither.
        """
        found = self._validation(stage, place)
        if not found and place.config(stage).get('val_dataloader'):
            raise RecipeError(f'stage {stage.name} has ended without a validation after the last iteration; the same '
                              'call tests its checkpoint')
        return found

    def _validation(self, stage: Stage, place: Place) -> dict[str, float]:
        _, length = final_checkpoint(stage, place)
        for log in sorted(place.folder(stage).glob('*/vis_data/scalars.json'), reverse=True):
            for line in reversed(log.read_text().splitlines()):
                logged = logged_numbers(line)
                if logged.get('step') == length and any('/' in key for key in logged):
                    return numbers_of(logged)
        return test_results(place.folder(stage))

    def split(self, stage: Stage, place: Place) -> str:
        """``val`` or as the list of validation images is called."""
        return split_file(place.config(stage), 'val').stem


@stage_kind('test')
class Test(StageKind):
    """``test.py`` or ``dist_test.sh``."""

    required = ('checkpoint', )
    optional = ('config', 'cfg_options')

    def commands(self, stage: Stage, place: Place) -> Commands:
        """Test."""
        return [place.tools.test(place.shown_config(stage), checkpoint_of(stage, place), '--work-dir',
                                 shown_path(place.folder(stage)), *place.data_flags(), *place.words(stage),
                                 *cfg_option_words(place.cfg_options(stage)))]

    def outputs(self, stage: Stage, place: Place) -> list[Path]:
        """The numbers of the latest test."""
        return test_files(place.folder(stage))[-1:]

    def results(self, stage: Stage, place: Place) -> dict[str, float]:
        """Read them."""
        return test_results(place.folder(stage))

    def split(self, stage: Stage, place: Place) -> str:
        """As the list of test images is called."""
        return split_file(place.config(stage), 'test').stem


@stage_kind('pseudo-labels')
class PseudoLabels(StageKind):
    """``make_pseudo_labels.py``."""

    required = ('checkpoint', )
    optional = ('config', 'cfg_options', 'split', 'cams')
    gives = 'labels'

    def commands(self, stage: Stage, place: Place) -> Commands:
        """Write the labels."""
        split = ['--split', place.fill(stage.split, stage)] if stage.split else []
        cams = ['--cams', shown_path(label_folder(stage.cams, place))] if stage.cams else []
        return [place.tools.spread(
            'make_pseudo_labels.py', place.shown_config(stage), checkpoint_of(stage, place), '--out-dir',
            shown_path(label_folder(stage.name, place)), *cams, *split, *place.data_flags(), *place.words(stage),
            *cfg_option_words(place.cfg_options(stage)))]

    def outputs(self, stage: Stage, place: Place) -> list[Path]:
        """The folder of labels."""
        return [label_folder(stage.name, place)]

    def split(self, stage: Stage, place: Place) -> str:
        """As the list of images is called."""
        return split_file(place.config(stage), place.fill(stage.split or 'train', stage)).stem


@stage_kind('evaluate-labels')
class EvaluateLabels(StageKind):
    """``eval_pseudo_labels.py``."""

    required = ('labels', )
    optional = ('split', )

    def commands(self, stage: Stage, place: Place) -> Commands:
        """Compare the labels with the masks that the config of their model validates with."""
        cfg = self._data_config(stage, place)
        images = self._list(stage, place)
        words = ['--gt-dir', shown_path(masks_of(cfg, images)), '--split', shown_path(images), '--label-dir',
                 shown_path(label_folder(stage.labels, place)), *class_words(cfg), '--json',
                 shown_path(self.outputs(stage, place)[0])]
        return [place.tools.single('eval_pseudo_labels.py', *words, *place.words(stage))]

    def outputs(self, stage: Stage, place: Place) -> list[Path]:
        """The file of numbers."""
        return [place.folder(stage) / 'quality.json']

    def results(self, stage: Stage, place: Place) -> dict[str, float]:
        """Read the means."""
        return numbers_of(json.loads(self.outputs(stage, place)[0].read_text())['metrics'])

    def split(self, stage: Stage, place: Place) -> str:
        """As the list of images is called."""
        return self._list(stage, place).stem

    def pictures(self, stage: Stage, place: Place) -> Optional[Path]:
        """Draw labels beside masks."""
        cfg = self._data_config(stage, place)
        images = self._list(stage, place)
        return draw_labels(cfg, label_folder(stage.labels, place), masks_of(cfg, images), images,
                           place.folder(stage) / 'labels.png')

    @staticmethod
    def _data_config(stage: Stage, place: Place) -> Config:
        """The config of the labels' model; an AffinityNet refines maps of another, which knows where masks are."""
        labels = place.recipe.stage(stage.labels)
        return place.config(place.recipe.stage(labels.cams) if labels.cams else labels)

    @staticmethod
    def _list(stage: Stage, place: Place) -> Path:
        labels = place.recipe.stage(stage.labels)
        return split_file(place.config(labels), place.fill(stage.split or labels.split or 'train', stage))


@stage_kind('cam-table')
class CamTable(StageKind):
    """``cam_table.py``: class maps under several settings of one checkpoint."""

    required = ('checkpoint', )
    optional = ('config', 'cfg_options', 'split')

    def commands(self, stage: Stage, place: Place) -> Commands:
        """Make the table."""
        folder = place.folder(stage)
        return [place.tools.spread(
            'analysis_tools/cam_table.py', place.shown_config(stage), checkpoint_of(stage, place), '--split',
            stage.split or 'train', '--work-dir', shown_path(folder), '--out', shown_path(folder / 'table'), '--plot',
            shown_path(folder / 'plot.png'), *place.data_flags(), *place.words(stage),
            *cfg_option_words(place.cfg_options(stage)))]

    def outputs(self, stage: Stage, place: Place) -> list[Path]:
        """The file of numbers."""
        return [place.folder(stage) / 'table.json']

    def results(self, stage: Stage, place: Place) -> dict[str, float]:
        """Read a number per row of the table."""
        return table_results(json.loads(self.outputs(stage, place)[0].read_text()))

    def split(self, stage: Stage, place: Place) -> str:
        """``train`` or ``val``."""
        return stage.split or 'train'

    def pictures(self, stage: Stage, place: Place) -> Optional[Path]:
        """The plot over thresholds or over the values of the setting that is swept."""
        return place.folder(stage) / 'plot.png'


@stage_kind('script')
class Script(StageKind):
    """Any file of ``tools/``, of which the recipe says what it creates."""

    required = ('script', 'creates')

    def commands(self, stage: Stage, place: Place) -> Commands:
        """Run it."""
        return [place.tools.single(stage.script, *place.words(stage))]

    def outputs(self, stage: Stage, place: Place) -> list[Path]:
        """What the recipe names."""
        return [Path(place.fill(path, stage)) for path in stage.creates]


def label_folder(name: str, place: Place) -> Path:
    """The folder of the labels that a stage makes."""
    return place.folder(place.recipe.stage(name)) / 'labels'


def final_checkpoint(stage: Stage, place: Place) -> tuple[Path, int]:
    """The checkpoint at the end of a training, and its epoch or iteration.

    Raises:
        RecipeError: The config counts checkpoints in epochs and training in iterations, or the other way round.
    """
    cfg = place.config(stage)
    by_epoch = cfg.default_hooks.checkpoint.get('by_epoch', True)
    unit = 'epoch' if by_epoch else 'iter'
    length = cfg.train_cfg.get(f'max_{unit}s')
    if length is None:
        raise RecipeError(f'stage {stage.name}: default_hooks.checkpoint.by_epoch is {by_epoch}, but train_cfg has no '
                          f'max_{unit}s: the last checkpoint cannot be told')
    return place.folder(stage) / f'{unit}_{length}.pth', length


def checkpoint_of(stage: Stage, place: Place) -> str:
    """Word the path of the checkpoint that a stage needs."""
    return shown_path(final_checkpoint(place.recipe.stage(stage.checkpoint), place)[0])


def logged_numbers(line: str) -> dict:
    """Read a line of a log; nothing of one that a killed run has not finished."""
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return {}


def test_files(folder: Path) -> list[Path]:
    """The files of numbers that tests left in a work dir, from old to new."""
    return [path for path in sorted(folder.glob('*/*.json')) if path.stem == path.parent.name]


def test_results(folder: Path) -> dict[str, float]:
    """Read the numbers of the latest test in a work dir; none without a test."""
    files = test_files(folder)
    return numbers_of(json.loads(files[-1].read_text())) if files else {}


def numbers_of(found: dict) -> dict[str, float]:
    """Keep the metrics, whose names have a prefix, of what a log or a file holds; not those without a value (NaN)."""
    return {key: round(value, 2) for key, value in found.items()
            if '/' in key and isinstance(value, (int, float)) and math.isfinite(value)}


def table_results(table: dict) -> dict[str, float]:
    """Name the numbers of ``cam_table.py`` by map and by the value of the setting that is swept."""
    found = {}
    for row in table['rows']:
        name = ' '.join([row['map'], *(f'{key.split(".")[-1]}={value}' for key, value in row['setting'].items())])
        found.update({f'{name} cam/{key}': round(row[key], 2) for key in ('mIoU', 'oracle_mIoU')
                      if row[key] is not None})
    return found
