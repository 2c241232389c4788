"""The command line of tools/run_recipe.py: what it prints, writes and returns."""

import os
import signal
import sys
import threading
import time

import pytest

from mmwsss.recipes import RecipeError
from mmwsss.utils.errors import run_tool

from ..helpers import load_tool, write_config

RECIPE = 'configs/mctformer/recipe_sample.py'


@pytest.fixture
def run_recipe(tmp_path, monkeypatch):
    """Return a function that calls the tool in this process, in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells let background processes ignore it
    tool = load_tool('tools/run_recipe.py')

    def call(*args):
        monkeypatch.setattr(sys, 'argv', ['run_recipe.py', *map(str, args)])
        tool.main()

    yield call
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_dry_run(run_recipe, capsys, tmp_path):
    run_recipe(RECIPE, '--dry-run', '--gpus', 4, '--data-root', 'photos')
    text = capsys.readouterr().out
    assert ('dist_train.sh configs/mctformer/mctformer-v2_vit-micro_sample.py 4 --work-dir '
            'work_dirs/mctformer_recipe_sample/v2 --resume --data-root photos') in text
    assert not list(tmp_path.iterdir())


def test_dry_run_of_chosen_stages_of_a_short_run(run_recipe, capsys):
    run_recipe(RECIPE, '--dry-run', '--short', '--only', 'data', 'v2')
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith('#')]
    assert len(lines) == 2
    assert lines[0].endswith('_sample.py work_dirs/mctformer_recipe_sample_short/sample --num-train 16 --num-val 16')
    assert 'train_cfg.max_epochs=1' in lines[1]


def test_dry_run_with_seeds(run_recipe, capsys):
    run_recipe(RECIPE, '--dry-run', '--seeds', '0,1', '--only', 'v2-seed0', 'v2-seed1')
    text = capsys.readouterr().out
    assert all(f'work_dirs/mctformer_recipe_sample_seeds/v2-seed{seed}' in text for seed in (0, 1))
    assert 'randomness.seed=1' in text


def test_run_and_report(run_recipe, quick, capsys, tmp_path):
    run_recipe(quick.write(), '--out', 'here')
    text = capsys.readouterr().out
    assert 'cam/mIoU' in text
    assert f'report: {tmp_path}/here/report.md' in text
    assert {'report.md', 'report.html', 'results.json'} <= {path.name for path in (tmp_path / 'here').iterdir()}


def test_a_short_run_generates_data_only_where_the_recipe_does(run_recipe, capsys):
    run_recipe(RECIPE, '--short', '--dry-run')
    assert '--data-root work_dirs/mctformer_recipe_sample_short/sample' in capsys.readouterr().out
    run_recipe('configs/mctformer/recipe_voc.py', '--short', '--dry-run')
    assert 'data/VOCdevkit/VOC2012' in (text := capsys.readouterr().out)
    assert 'short/sample' not in text


def test_what_is_refused(run_recipe, quick, tmp_path):
    write_config(dict(title='Wrong', stages=[dict(name='cam', kind='training')]), tmp_path / 'wrong.py')
    with pytest.raises(RecipeError, match=r'^stage cam of wrong\.py: kind must be one of '):
        run_recipe('wrong.py')
    with pytest.raises(RecipeError, match=r"no stage 'frist'.*did you mean 'first'\?"):
        run_recipe(quick.write(), '--from', 'frist')


def test_a_failed_stage_ends_the_recipe_with_one_line(run_recipe, quick, capsys):
    quick.out.mkdir()
    (quick.out / 'break').touch()
    with pytest.raises(SystemExit) as end:
        run_tool(lambda: run_recipe(quick.write(), '--out', quick.out))
    assert end.value.code == 1
    assert capsys.readouterr().err == ('run_recipe.py: stage first failed with exit code 7; its output is in '
                                       'out/first/stage.log; run the same command again to resume\n')


@pytest.mark.parametrize(('number', 'code'), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_the_command_too(run_recipe, quick, capsys, number, code):
    def send():
        deadline = time.monotonic() + 60
        while not (quick.out / 'pid').exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(os.getpid(), number)

    quick.out.mkdir()
    (quick.out / 'sleep').touch()
    sender = threading.Thread(target=send)
    sender.start()
    with pytest.raises(SystemExit) as caught:
        run_tool(lambda: run_recipe(quick.write(), '--out', quick.out))
    sender.join()
    assert caught.value.code == code
    assert capsys.readouterr().err == (
        f'run_recipe.py: stopped by {number.name} in stage first; what is finished is kept. Run the same command again '
        'to continue\n')
    (quick.out / 'sleep').unlink()
    run_recipe(quick.write(), '--out', quick.out)
    assert quick.record('first')['attempt'] == 2
