"""Recipes of stages that take no time, and contexts of recipes."""

import io
import json
from dataclasses import dataclass, field
from typing import Optional

from rich.console import Console

from mmwsss.recipes import RecipeContext, RecipeRunner, Stage, read_recipe
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
    cfg_options: dict = field(default_factory=dict)

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


def write_context(folder, stages, **keys):
    """Write a recipe of these stages to a folder, and return the context of the recipe."""
    path = write_config(dict(title='Some', stages=stages, **keys), folder / 'recipe.py')
    return RecipeContext(read_recipe(path), folder / 'out', ToolCommands(REPO))
