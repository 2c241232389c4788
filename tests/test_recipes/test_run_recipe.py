"""The command line of tools/run_recipe.py; what it does is tested in tests/test_recipes."""

import pytest

from mmwsss.recipes import STAGE_KINDS, RecipeError

from ..helpers import call_tool, run_tool, write_config
from ..test_recipes.quick import QuickRecipe, QuickStage

TOOL = 'tools/run_recipe.py'
RECIPE = 'configs/mctformer/recipe_sample.py'


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('signal.signal', lambda *_: None)  # of the tests' own process


def test_dry_run(capsys, tmp_path):
    call_tool(TOOL, RECIPE, '--dry-run', '--gpus', 4, '--data-root', 'photos')
    text = capsys.readouterr().out
    assert 'dist_train.sh configs/mctformer/mctformer-v2_vit-micro_sample.py 4 --work-dir ' \
           'work_dirs/mctformer_recipe_sample/v2 --resume --data-root photos' in text
    assert not list(tmp_path.iterdir())


def test_dry_run_of_chosen_stages_of_a_short_run(capsys):
    call_tool(TOOL, RECIPE, '--dry-run', '--short', '--only', 'data', 'v2')
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith('#')]
    assert len(lines) == 2
    assert lines[0].endswith('_sample.py work_dirs/mctformer_recipe_sample_short/sample --num-train 16 --num-val 16')
    assert 'train_cfg.max_epochs=1' in lines[1]


def test_run_and_report(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(STAGE_KINDS, 'quick', QuickStage())
    quick = QuickRecipe(tmp_path)
    recipe = write_config(dict(title='Quick', stages=quick.stages), tmp_path / 'quick_recipe.py')
    call_tool(TOOL, recipe, '--out', 'here')
    text = capsys.readouterr().out
    assert 'cam/mIoU' in text
    assert f'report: {tmp_path}/here/report.md' in text
    assert {'report.md', 'report.html', 'results.json'} <= {path.name for path in (tmp_path / 'here').iterdir()}
    with pytest.raises(RecipeError, match="no stage 'absent'"):
        call_tool(TOOL, recipe, '--out', 'here', '--from', 'absent')


def test_errors_are_one_line(tmp_path):
    write_config(dict(title='Wrong', stages=[dict(name='cam', kind='training')]), tmp_path / 'wrong.py')
    result = run_tool(TOOL, 'wrong.py', check=False)
    assert result.returncode == 1
    assert result.stdout.splitlines()[-1].startswith('RecipeError: stage cam of wrong.py: kind must be one of ')
    assert 'Traceback' not in result.stdout
