"""Sweeps: the runs of a grid and of a list, what is repeated, the table, and the files of the papers' ablations."""

import json
import sys
from functools import cache

import pytest
from mmengine.config import Config

from mmwsss.recipes import (
    RecipeContext,
    RecipeError,
    StageError,
    parse_seeds,
    read_sweep,
    repeat_for_seeds,
    sweep_rows,
    write_sweep,
)
from mmwsss.utils.commands import ToolCommands
from mmwsss.utils.results import read_results

from ..doc_commands import has_key
from ..helpers import REPO, load_tool, write_config

CONFIG = 'configs/mctformer/mctformer-v2_vit-micro_sample.py'
STAGES = [
    dict(name='data', kind='script', script='dataset_converters/make_sample.py', outputs=['data/sample']),
    dict(name='cam', kind='train', config=CONFIG, cfg_options={'optim_wrapper.optimizer.lr': 1e-3}),
    dict(name='labels', kind='pseudo-labels', checkpoint='cam'),
    dict(name='quality', kind='evaluate-labels', labels='labels'),
]
GRID = {'model.cam_head.attention_layers': [1, 3], 'model.cam_head.fusion': ['mean', 'root']}
SWEEPS = sorted(str(path.relative_to(REPO)) for path in REPO.glob('configs/*/sweep_*.py'))


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a sweep and returns its path."""
    return lambda **keys: write_config(dict(title='Some', **keys), tmp_path / 'sweep.py')


def test_a_grid_repeats_the_training_and_what_uses_it(write, tmp_path):
    sweep = read_sweep(write(stages=STAGES, grid=GRID, skip=[{'model.cam_head.attention_layers': 3,
                                                              'model.cam_head.fusion': 'root'}],
                             published={'mIoU': [1., None, 3.]}))
    assert [run.name for run in sweep.runs] == [
        'attention_layers=1 fusion=mean', 'attention_layers=1 fusion=root', 'attention_layers=3 fusion=mean']
    assert [run.published for run in sweep.runs] == [{'mIoU': 1.}, {}, {'mIoU': 3.}]
    assert sweep.runs[2].params == {'model.cam_head.attention_layers': 3, 'model.cam_head.fusion': 'mean'}
    names = [stage.name for stage in sweep.recipe.stages]
    assert names[:2] == ['data', 'cam-attention_layers_1_fusion_mean']
    assert len(names) == 1 + 3 * 3
    last = sweep.runs[2].stages
    assert sweep.recipe.stage(last['quality']).inputs == (last['labels'], )
    context = RecipeContext(sweep.recipe, tmp_path, ToolCommands(REPO))
    command = ' '.join(sweep.recipe.stage(last['cam']).command(context))
    assert 'optim_wrapper.optimizer.lr=0.001 model.cam_head.attention_layers=3 model.cam_head.fusion=mean' in command


def test_a_later_stage_changes_and_the_training_runs_once(write):
    sweep = read_sweep(write(stages=STAGES, stage='labels', grid={'model.test_cfg.threshold': [.3, .4]}))
    assert [stage.name for stage in sweep.recipe.stages] == [
        'data', 'cam', 'labels-threshold_0.3', 'quality-threshold_0.3', 'labels-threshold_0.4', 'quality-threshold_0.4']


def test_named_runs_have_configs_and_parameters(write):
    other = 'configs/mctformer/mctformer-v1_vit-micro_sample.py'
    sweep = read_sweep(write(base=CONFIG, runs=[dict(name='V2'), dict(name='V1', config=other, params={'version': 1})]))
    assert [sweep.recipe.stage(run.stages['train']).config for run in sweep.runs] == [CONFIG, other]
    assert [run.params for run in sweep.runs] == [{}, {'version': 1}]


def test_a_sweep_can_be_json(tmp_path):
    (tmp_path / 'sweep.json').write_text(json.dumps(dict(title='Some', base=CONFIG, grid={'randomness.seed': [0, 1]})))
    assert [run.name for run in read_sweep(tmp_path / 'sweep.json').runs] == ['seed=0', 'seed=1']


@pytest.mark.parametrize(('keys', 'words'), [
    (dict(stages=STAGES), 'needs grid or runs'),
    (dict(stages=STAGES, base=CONFIG, grid=GRID), 'has base and stages'),
    (dict(stages=STAGES, grip=GRID), r"unknown key 'grip'.*grid"),
    (dict(stages=STAGES, grid={'a.b': 3}), 'needs a list of values for a.b'),
    (dict(stages=STAGES, grid=GRID, skip=[{'model.x': 1}]), 'skip names model.x'),
    (dict(stages=STAGES, grid=GRID, published={'mIoU': [1.]}), 'published has 1 numbers of mIoU, the grid has 4 runs'),
    (dict(stages=STAGES, grid=GRID, stage='cams'), "no stage 'cams'"),
    (dict(stages=STAGES, grid=GRID, stage='quality'), 'stage quality of kind evaluate-labels has no cfg_options'),
    (dict(stages=STAGES[:1], grid=GRID), 'trains nothing: name the stage'),
    (dict(base=CONFIG, runs=[dict(name='a', lr=1)]), "run a: unknown key 'lr'"),
    (dict(base=CONFIG, runs=[dict(lr=1)]), 'run 1 must be a dict with a name'),
    (dict(base=CONFIG, runs=[dict(name='a b'), dict(name='a_b')]), "two runs named 'a_b'")])
def test_mistakes_are_named(write, keys, words):
    with pytest.raises(RecipeError, match=words):
        read_sweep(write(**keys))


def test_mean_and_deviation_over_seeds(write, tmp_path):
    sweep = read_sweep(write(base=CONFIG, grid={'model.cam_head.fusion': ['mean', 'root']}, metrics=['cam/mIoU']))
    recipe = repeat_for_seeds(sweep.recipe, parse_seeds('0,1'))
    values = {'train-fusion_mean-seed0': 40., 'train-fusion_mean-seed1': 42., 'train-fusion_root-seed1': 50.}
    records = [dict(name=name, results={'cam/mIoU': value, 'cam/FP': 1.}, seconds=30.)
               for name, value in values.items()]
    rows = sweep_rows(sweep, recipe, records)
    assert [row.values for row in rows] == [{'cam/mIoU': (40., 42.)}, {'cam/mIoU': (50., )}]
    assert [row.finished for row in rows] == [True, False]
    assert [row.deviation('cam/mIoU') for row in rows] == [pytest.approx(2**.5), None]
    write_sweep(sweep, rows, tmp_path)
    assert '| fusion=mean | 41.00 ± 1.41 | 1.0 |' in (tmp_path / 'sweep.md').read_text().splitlines()
    assert read_results(tmp_path / 'sweep.json')['metrics']['fusion=mean cam/mIoU'] == 41.


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Return a function that calls the tool in this process and returns its exit code."""
    monkeypatch.chdir(tmp_path)
    tool = load_tool('tools/sweep.py')

    def call(*args):
        monkeypatch.setattr(sys, 'argv', ['sweep.py', *map(str, args)])
        return tool.main()

    return call


def quick_sweep(quick):
    runs = [dict(name='short'), dict(name='long', args=['bb'], params={'length': 4}, published={'cam/mIoU': 4.5})]
    return write_config(dict(title='Quick', stages=quick.stages[:2], runs=runs, stage='first'), quick.folder / 'q.py')


def test_runs_resume_and_share_a_table(call, quick, tmp_path, capsys):
    path = quick_sweep(quick)
    assert call(path, '--out', 'here', '--only', 'long') == 0
    assert not (tmp_path / 'here/first-short').exists()
    assert call(path, '--out', 'here') == 0
    assert (tmp_path / 'here/first-long/ran.txt').read_text() == 'ran '
    runs = json.loads((tmp_path / 'here/sweep.json').read_text())['runs']
    assert [(run['name'], run['params'], run['finished']) for run in runs] == [
        ('short', {}, True), ('long', {'length': 4}, True)]
    assert [run['metrics']['first cam/mIoU'] for run in runs] == [1, 4]
    heading, _, *lines = (tmp_path / 'here/sweep.md').read_text().splitlines()[2:]
    assert heading == '| run | length | first cam/mIoU | second cam/mIoU | published cam/mIoU | minutes |'
    assert [line.split(' | ')[1:5] for line in lines] == [['', '1.00', '1.00', ''], ['4', '4.00', '1.00', '4.50']]
    assert 'sweep.json' in capsys.readouterr().out


def test_a_failed_run_ends_the_sweep_or_not(call, quick, tmp_path, capsys):
    path = quick_sweep(quick)
    (tmp_path / 'here').mkdir()
    (tmp_path / 'here/break').touch()
    with pytest.raises(StageError, match='stage first-short failed') as error:
        call(path, '--out', 'here')
    assert error.value.exit_code == 1
    assert not (tmp_path / 'here/first-long').exists()
    assert call(path, '--out', 'here', '--keep-going') == 1
    assert (tmp_path / 'here/first-long').exists()
    assert 'these runs failed: short, long' in capsys.readouterr().err


def test_an_unknown_run_is_refused(call, quick):
    with pytest.raises(RecipeError, match="no run 'lnog'.*did you mean 'long'"):
        call(quick_sweep(quick), '--only', 'lnog')


def test_a_dry_run_writes_nothing(call, quick, tmp_path, capsys):
    path = quick_sweep(quick)
    before = sorted(tmp_path.iterdir())
    assert call(path, '--dry-run', '--out', 'here') == 0
    assert 'first-long' in capsys.readouterr().out
    assert sorted(tmp_path.iterdir()) == before


@cache
def config(name):
    return Config.fromfile(REPO / name, format_python_code=False)


@pytest.mark.parametrize('path', SWEEPS)
def test_sweeps_of_the_papers_set_what_exists(path):
    sweep = read_sweep(REPO / path)
    assert f'python tools/sweep.py {path}' in (REPO / path).read_text()
    params = {key for run in sweep.runs for key in run.params}
    assert not sweep.default or sweep.default.keys() <= params
    stages = {stage.name: stage for stage in sweep.recipe.stages}
    for run in sweep.runs:
        for stage in (stages[name] for name in run.stages.values()):
            trained = stages.get(getattr(stage, 'checkpoint', None))
            name = getattr(stage, 'config', None) or getattr(trained, 'config', None)
            for key in getattr(stage, 'cfg_options', {}):
                assert has_key(config(name), key), f'{name} has no {key}'
