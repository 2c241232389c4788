"""What is skipped, what is redone, what goes on, and what is said."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from mmwsss.recipes import RecipeError
from mmwsss.recipes.launch import run_command


def content(quick, name):
    return (quick.out / name / 'weights.txt').read_text()


def test_stages_run_in_order_and_leave_records(quick):
    records = quick.run()
    assert [record['name'] for record in records] == ['first', 'second', 'other']
    assert content(quick, 'second') == 'ba'
    record = json.loads((quick.out / 'first/stage.json').read_text())
    assert record['results'] == {'cam/mIoU': 1, 'cam/FP': 1.5}
    assert record['commands'][0].startswith('python -c ')
    assert quick.printed.count('import json') == 3, 'commands are printed'


def test_what_is_done_is_skipped(quick):
    quick.run()
    quick.run()
    assert quick.times() == [1, 1, 1]
    assert 'first: done' in quick.printed


def test_titles_and_the_choice_of_metrics_redo_nothing(quick):
    quick.run()
    quick.stages[0].update(title='The first', report=['cam/FP'])
    quick.run()
    assert quick.times() == [1, 1, 1]


def test_a_change_redoes_the_stage_and_what_depends_on_it(quick):
    quick.run()
    quick.stages[0]['args'] = ['changed']
    quick.run()
    assert content(quick, 'second') == 'bchanged'
    assert quick.times() == [1, 1, 1], 'in folders that were emptied'
    assert 'other: done' in quick.printed
    assert 'second: done' not in quick.printed


def test_a_change_of_the_config_redoes_too(quick):
    quick.run()
    quick.config.write_text('lr = 0.2\n')
    quick.run()
    assert 'first: done' not in quick.printed
    assert 'other: done' in quick.printed


def test_the_same_outcome_after_a_change_stops_there(quick):
    quick.run()
    quick.config.write_text('lr = 0.2\n')
    quick.stages[1]['config'] = str(quick.config.with_name('recipe.py'))  # of its own, not inherited
    quick.run()
    redone = quick.printed
    quick.config.write_text('lr = 0.3\n')
    quick.run()
    assert 'second: done' not in redone
    assert 'second: done' in quick.printed, 'first left what it had left before'


def test_lost_output_is_made_again(quick):
    quick.run()
    (quick.out / 'first/weights.txt').unlink()
    quick.run()
    assert quick.times() == [2, 1, 1]


def test_tampered_output_is_made_again(quick):
    quick.run()
    (quick.out / 'other/weights.txt').write_text('broken')
    quick.run()
    assert content(quick, 'other') == 'c'


def test_a_failed_stage_is_named_and_goes_on(quick):
    quick.out.mkdir()
    (quick.out / 'break').touch()
    with pytest.raises(RecipeError, match='stage first failed with exit code 7'):
        quick.run()
    assert not (quick.out / 'first/stage.json').exists()
    (quick.out / 'break').unlink()
    records = quick.run()
    assert quick.times() == [2, 1, 1], 'its folder was kept'
    assert [record['attempt'] for record in records] == [2, 1, 1]


def test_a_failed_stage_that_changed_starts_anew(quick):
    quick.out.mkdir()
    (quick.out / 'break').touch()
    with pytest.raises(RecipeError):
        quick.run()
    (quick.out / 'break').unlink()
    quick.stages[0]['args'] = ['changed']
    assert quick.run()[0]['attempt'] == 1
    assert quick.times() == [1, 1, 1]


def test_from_redoes_what_follows(quick):
    quick.run()
    quick.run(start='second')
    assert 'first: done' in quick.printed
    assert content(quick, 'second') == 'ba'
    assert 'second: done' not in quick.printed
    assert 'other: done' not in quick.printed


def test_only_runs_the_stages_named(quick):
    records = quick.run(only=['other'])
    assert [record['name'] for record in records] == ['other']
    assert quick.times() == [0, 0, 1]
    with pytest.raises(RecipeError, match='second needs first, which is not done'):
        quick.run(only=['second'])


def test_unknown_stages_are_refused(quick):
    with pytest.raises(RecipeError, match="no stage 'third' in .*: its stages are first, second, other"):
        quick.run(start='third')


def test_preview_prints_commands_and_runs_nothing(quick):
    text = quick.preview()
    assert not quick.out.exists()
    assert text.count('to do') == 3
    assert text.count('python -c') == 3
    quick.run(only=['first'])
    assert quick.preview().count(': done') == 1


def test_foreign_files_are_not_touched(quick):
    (quick.out / 'first').mkdir(parents=True)
    (quick.out / 'first/mine.txt').write_text('mine')
    with pytest.raises(RecipeError, match='holds files that no stage of a recipe left'):
        quick.run()
    assert (quick.out / 'first/mine.txt').read_text() == 'mine'


def test_two_runs_of_a_folder_exclude_each_other(quick):
    quick.out.mkdir()
    with open(quick.out / '.lock', 'w') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(RecipeError, match='a recipe is running in'):
            quick.run()
    assert len(quick.run()) == 3


def test_a_stage_without_its_output_has_failed(quick, monkeypatch):
    monkeypatch.setattr('mmwsss.recipes.runner.run_command', lambda words, keep_open: 0)
    with pytest.raises(RecipeError, match='stage first ended without an error but did not leave .*weights.txt'):
        quick.run()


def test_an_interrupted_command_ends_with_all_it_started(tmp_path):
    script = (f'from mmwsss.recipes.launch import run_command\nimport signal, sys\n'
              f'signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n'
              f'run_command(["bash", "-c", "sleep 100 & echo $! > {tmp_path}/pid; wait"])')
    with subprocess.Popen([sys.executable, '-c', script]) as process:
        deadline = time.monotonic() + 60
        while not (tmp_path / 'pid').exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 143
    pid = int((tmp_path / 'pid').read_text())
    deadline = time.monotonic() + 10
    while _is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _is_running(pid)


def _is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f'/proc/{pid}/stat') as file:
        return file.read().split()[2] != 'Z'


def test_exit_codes_are_handed_on():
    assert run_command(['bash', '-c', 'exit 3']) == 3
    assert run_command(['python', '-c', '']) == 0
