"""One line of progress in place of commands: what it says on the way, at the end and after a failure."""

import io
import json
import os

import pytest
from rich.console import Console

from mmwsss.recipes import ProgressRunner, RecipeContext, StageError, StageWork, duration, read_recipe
from mmwsss.recipes.units import count_files, logged_iterations
from mmwsss.utils.commands import ToolCommands

from ..helpers import REPO

WORK = dict(first=StageWork(60., 100), second=StageWork(30.), other=StageWork(10.))


@pytest.fixture
def run(quick):
    """Run the quick recipe behind a line of progress; returns what is printed."""

    def start(terminal=False):
        console = Console(file=io.StringIO(), width=200, force_terminal=terminal, color_system=None)
        context = RecipeContext(read_recipe(quick.write()), quick.out, ToolCommands(REPO))
        runner = ProgressRunner(context, console, WORK)
        try:
            runner.run()
        finally:
            quick.printed = console.file.getvalue()
        return quick.printed

    return start


def test_a_line_for_each_stage(run):
    lines = run().splitlines()
    assert lines[0] == 'stage 1/3, first: 0 % of all work, about 2 min left'
    assert lines[1].startswith('stage 1/3, first: finished in ')
    assert lines[2] == 'stage 2/3, second: 60 % of all work, about 40 s left'
    assert lines[4] == 'stage 3/3, other: 90 % of all work, about 10 s left'
    assert len(lines) == 6


def test_finished_stages_are_done(run):
    run()
    assert run().splitlines() == ['first: done', 'second: done', 'other: done']


def test_the_last_lines_of_a_failed_stage_are_shown(run, quick):
    (quick.out / 'first').mkdir(parents=True)
    (quick.out / 'first/started.json').write_text('{"inputs": ""}')
    (quick.out / 'break').touch()
    with pytest.raises(StageError, match='stage first failed with exit code 7'):
        run()
    lines = quick.printed.splitlines()
    assert 'stage.log' in lines[-3]
    assert lines[-1] == 'out of luck'


def test_iterations_and_files_tell_how_far_a_stage_is(run, quick, monkeypatch):
    """A stage that has done 25 of 100 units needs three times what it took so far, whatever was expected."""
    stage_class = type(read_recipe(quick.write()).stages[0])
    done = iter([None] + [25] * 1000)
    monkeypatch.setattr(stage_class, 'done_units', lambda self, context: next(done))
    monkeypatch.setattr('mmwsss.recipes.progress.TICK_SECONDS', .01)
    monkeypatch.setattr('mmwsss.recipes.progress.LINE_SECONDS', .02)
    quick.out.mkdir()
    line = next(line for line in run().splitlines() if '%' in line)
    assert line == 'stage 1/3, first: 15 % of all work, about 40 s left'  # 25 % of 60 s of 100 s, at once


def test_units_of_a_training(tmp_path):
    assert logged_iterations(tmp_path) is None
    log = tmp_path / '20250101_000000/vis_data/scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text(json.dumps(dict(loss=1., step=20)) + '\n' + json.dumps({'cam/mIoU': 3., 'step': 1}) + '\n{"loss": 1')
    assert logged_iterations(tmp_path) == 20


def test_units_of_files(tmp_path):
    assert count_files(tmp_path / 'none', '.png') == 0
    for name in ('a/1.png', '2.png', '.3.png', '4.txt'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    os.utime(tmp_path / '2.png', (10, 10))
    assert count_files(tmp_path, '.png') == 2
    assert count_files(tmp_path, '.png', since=20) == 1


@pytest.mark.parametrize(('seconds', 'text'), [(7.2, '7 s'), (100, '2 min'), (3600, '60 min'), (11000, '3 h 3 min')])
def test_durations(seconds, text):
    assert duration(seconds) == text
