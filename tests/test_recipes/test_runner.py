"""Which stages are skipped, run again or resumed, and what the user is told."""

import fcntl

import pytest

from mmwsss.recipes import RecipeError, StageError
from mmwsss.recipes.runner import hash_inputs


def content(quick, name):
    return (quick.out / name / 'weights.txt').read_text()


def test_stages_run_in_order_and_leave_records(quick):
    records = quick.run()
    assert [record['name'] for record in records] == ['first', 'second', 'other']
    assert content(quick, 'second') == 'ba'
    record = quick.record('first')
    assert record['results'] == {'cam/mIoU': 1, 'cam/FP': 1.5}, 'metrics without a value are left out'
    assert record['command'].startswith('bash -c ')
    assert quick.printed.count('weights.txt') == 4, 'commands are printed'


def test_finished_stages_are_skipped(quick):
    quick.run()
    quick.run()
    assert quick.times() == [1, 1, 1]
    assert 'first: done' in quick.printed


def test_titles_and_reported_metrics_do_not_matter(quick):
    quick.run()
    quick.stages[0].update(title='The first', report=['cam/FP'])
    quick.run()
    assert quick.times() == [1, 1, 1]


def test_a_changed_stage_and_its_dependents_run_again(quick):
    quick.run()
    quick.stages[0]['args'] = ['changed']
    quick.run()
    assert content(quick, 'second') == 'bchanged'
    assert quick.times() == [1, 1, 1], 'in folders that were emptied'
    assert 'other: done' in quick.printed
    assert 'second: done' not in quick.printed


def test_a_stage_with_a_changed_config_runs_again(quick):
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


def test_missing_output_is_made_again(quick):
    quick.run()
    (quick.out / 'first/weights.txt').unlink()
    quick.run()
    assert quick.times() == [2, 1, 1]


def test_changed_output_is_made_again(quick):
    quick.run()
    (quick.out / 'other/weights.txt').write_text('broken')
    quick.run()
    assert content(quick, 'other') == 'c'


def test_a_failed_stage_is_named_and_resumes(quick):
    quick.out.mkdir()
    (quick.out / 'break').touch()
    with pytest.raises(StageError) as error:
        quick.run()
    log = quick.out / 'first/stage.log'
    assert str(error.value) == (f'stage first failed with exit code 7; its output is in {log}; run the same command '
                                'again to resume')
    assert log.read_text() == f'command of {quick.out}/first\nout of luck\n'
    assert 'out of luck' in quick.printed
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


def test_from_runs_later_stages_again(quick):
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
    with pytest.raises(RecipeError, match='second needs first, which is not finished'):
        quick.run(only=['second'])


def test_unknown_stages_are_refused(quick):
    with pytest.raises(RecipeError, match="no stage 'third' in .*; its stages are first, second, other"):
        quick.run(start='third')


def test_preview_prints_commands_and_runs_nothing(quick):
    text = quick.preview()
    assert not quick.out.exists()
    assert text.count('to do') == 3
    assert text.count('bash -c') == 3
    quick.run(only=['first'])
    assert quick.preview().count(': done') == 1


def test_foreign_files_are_not_touched(quick):
    (quick.out / 'first').mkdir(parents=True)
    (quick.out / 'first/mine.txt').write_text('mine')
    with pytest.raises(RecipeError, match='has files that were not made by a recipe'):
        quick.run()
    assert (quick.out / 'first/mine.txt').read_text() == 'mine'


def test_two_runs_of_a_folder_exclude_each_other(quick):
    quick.out.mkdir()
    with open(quick.out / '.lock', 'w') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(RecipeError, match='another recipe is running in'):
            quick.run()
    assert len(quick.run()) == 3


def test_a_stage_without_its_output_has_failed(quick, monkeypatch):
    monkeypatch.setattr('mmwsss.recipes.runner.run_command', lambda *args, **kwargs: 0)
    with pytest.raises(StageError, match='stage first ended without an error, but .*weights.txt is missing'):
        quick.run()


def test_inputs_are_content_and_not_processes(context, tmp_path):
    def inputs(labels='hash'):
        return hash_inputs(context.recipe.stage('labels'), context, {'cam': labels})

    first = inputs()
    context.tools.num_processes = 2
    context.work_dir = tmp_path / 'elsewhere'
    assert inputs() == first
    assert inputs('other') != first
    split = tmp_path / 'data/sample/ImageSets/Segmentation/train.txt'
    split.parent.mkdir(parents=True)
    split.write_text('a\n')
    second = inputs()
    split.write_text('b\n')
    assert len({first, second, inputs()}) == 3
