"""Stages that take no time: a recipe of them, and where it runs."""

import io
import json

from rich.console import Console

from mmwsss.recipes import Place, RecipeRunner, StageKind, Tools, read_recipe

from ..helpers import REPO, write_config

WRITE = '''
import json, sys
from pathlib import Path
folder, text, needed = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
folder.mkdir(parents=True, exist_ok=True)
with open(folder / 'ran.txt', 'a') as file:
    file.write('ran ')
if (folder.parent / 'break').exists():
    sys.exit(7)
(folder / 'weights.txt').write_text(text + ''.join(Path(path).read_text() for path in needed))
(folder / 'numbers.json').write_text(json.dumps({'cam/mIoU': len(text), 'cam/FP': 1.5}))
'''


class QuickStage(StageKind):
    """Writes its ``args`` and what it needs into a file."""

    optional = ('checkpoint', 'config', 'cfg_options')
    gives = 'checkpoint'

    def commands(self, stage, place):
        needed = [str(self.outputs(place.recipe.stage(name), place)[0]) for name in stage.needs]
        return [['python', '-c', WRITE, str(place.folder(stage)), ' '.join(stage.args), *needed]]

    def outputs(self, stage, place):
        return [place.folder(stage) / 'weights.txt']

    def results(self, stage, place):
        return json.loads((place.folder(stage) / 'numbers.json').read_text())

    def split(self, stage, place):
        return 'val'


class QuickRecipe:
    """A recipe file of quick stages ``first``, ``second`` (needs ``first``) and ``other``, and runs of it."""

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

    def runner(self):
        path = write_config(dict(title='Quick', stages=self.stages), self.folder / 'recipe.py')
        self.console = Console(file=io.StringIO(), width=400)
        return RecipeRunner(Place(read_recipe(path), self.out, Tools(REPO)), self.console)

    def run(self, *args, **kwargs):
        """Run it as it stands now; the records of its stages."""
        runner = self.runner()
        try:
            return runner.run(*args, **kwargs)
        finally:
            self.printed = self.console.file.getvalue()

    def preview(self):
        self.runner().preview()
        return self.console.file.getvalue()

    def times(self):
        """How often each stage's command has run since its folder was emptied."""
        files = {name: self.out / name / 'ran.txt' for name in ('first', 'second', 'other')}
        return [file.read_text().count('ran') if file.exists() else 0 for file in files.values()]
