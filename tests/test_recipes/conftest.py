"""Recipes of stages that take no time, and a recipe of real stages that is not run."""

import io
import json
from dataclasses import dataclass
from typing import Optional

import pytest
from rich.console import Console

from mmwsss.recipes import STAGES, RecipeContext, RecipeRunner, Stage, read_recipe
from mmwsss.utils.commands import ToolCommands

from ..helpers import REPO, write_config

SCRIPT = r'''
mkdir -p "$1"; printf 'ran ' >> "$1/ran.txt"; echo "command of $1"
if [ -e "$1/../sleep" ]; then sleep 60 & echo $! > "$1/../pid"; wait; fi
if [ -e "$1/../break" ]; then echo 'out of luck' >&2; exit 7; fi
{ printf '%s' "$2"; cat "${@:3}" /dev/null; } > "$1/weights.txt"
echo "{\"metrics\": {\"cam/mIoU\": ${#2}, \"cam/FP\": 1.5, \"cam/FN\": null}}" > "$1/results.json"
'''


@dataclass(frozen=True)
class QuickStage(Stage):
    """Write ``args`` and the content of its inputs to a file."""

    checkpoint: Optional[str] = None
    config: Optional[str] = None

    provides = 'checkpoint'

    def command(self, context):
        needed = [context.input_path(name) for name in self.inputs]
        return ['bash', '-c', SCRIPT, 'quick', str(context.stage_dir(self)), ' '.join(self.args), *needed]

    def provided_path(self, context):
        return context.stage_dir(self) / 'weights.txt'

    def split_name(self, context):
        return 'val'


class QuickRecipe:
    """A recipe of the stages ``first``, ``second`` (which needs ``first``) and ``other``, and runs of it."""

    def __init__(self, folder):
        self.folder = folder
        self.out = folder / 'out'
        self.config = write_config(dict(lr=0.1), folder / 'config.py')
        self.stages = [
            dict(name='first', kind='quick', args=['a'], config=str(self.config)),
            dict(name='second', kind='quick', args=['b'], checkpoint='first'),
            dict(name='other', kind='quick', args=['c'])
        ]
        self.printed = ''

    def write(self):
        return write_config(dict(title='Quick', stages=self.stages), self.folder / 'recipe.py')

    def runner(self):
        self.console = Console(file=io.StringIO(), width=400)
        return RecipeRunner(RecipeContext(read_recipe(self.write()), self.out, ToolCommands(REPO)), self.console)

    def run(self, *args, **kwargs):
        """Run the recipe as it stands now, and return the records of its stages."""
        runner = self.runner()
        try:
            return runner.run(*args, **kwargs)
        finally:
            self.printed = self.console.file.getvalue()

    def preview(self):
        self.runner().preview()
        return self.console.file.getvalue()

    def times(self):
        """Return how often the command of each stage has run since its folder was emptied."""
        files = [self.out / name / 'ran.txt' for name in ('first', 'second', 'other')]
        return [file.read_text().count('ran') if file.exists() else 0 for file in files]

    def record(self, name):
        return json.loads((self.out / name / 'stage.json').read_text())


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """Give a recipe of stages that take no time."""
    monkeypatch.setitem(STAGES.module_dict, 'quick', QuickStage)
    return QuickRecipe(tmp_path)


STAGES_OF_SAMPLE = [
    dict(name='data', kind='script', script='dataset_converters/make_sample.py', args=['{data_root}'],
         outputs=['{data_root}/image_labels.json']),
    dict(name='cam', kind='train', config='configs/mctformer/mctformer-v2_vit-micro_sample.py',
         cfg_options={'model.cam_head.affinity_layers': [0, 1]}),
    dict(name='val', kind='test', checkpoint='cam', args=['--tta']),
    dict(name='table', kind='cam-table', checkpoint='cam', cfg_options={'model.cam_head.fusion': 'mean'}),
    dict(name='labels', kind='pseudo-labels', checkpoint='cam', args=['--post', 'crf']),
    dict(name='quality', kind='evaluate-labels', labels='labels'),
    dict(name='fcn', kind='train', config='configs/mctformer/retrain_fcn_vit-micro_sample.py', labels='labels'),
]


@pytest.fixture
def sample_stages():
    """Give stages of every kind for the sample set."""
    return [dict(stage) for stage in STAGES_OF_SAMPLE]


@pytest.fixture
def make_context(tmp_path, monkeypatch):
    """Give a function that turns stages into the context of a recipe, in an empty working folder."""
    monkeypatch.chdir(tmp_path)

    def make(stages, **keys):
        path = write_config(dict(title='Some', stages=stages, **keys), tmp_path / 'recipe.py')
        return RecipeContext(read_recipe(path), tmp_path / 'out', ToolCommands(REPO))

    return make


@pytest.fixture
def context(make_context, sample_stages):
    """Give the context of these stages."""
    return make_context(sample_stages, data_root='data/sample')
