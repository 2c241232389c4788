"""Seeds: which stages are repeated, what their commands say, and the mean and the spread in the report."""

import pytest

from mmwsss.recipes import (
    EvaluateLabels,
    PseudoLabels,
    Recipe,
    RecipeContext,
    RecipeError,
    Script,
    Test,
    Train,
    parse_seeds,
    repeat_for_seeds,
    write_report,
)
from mmwsss.utils.commands import ToolCommands
from mmwsss.utils.results import read_results
from tests.helpers import REPO

CONFIG = 'configs/mctformer/mctformer-v2_vit-micro_sample.py'


@pytest.fixture
def recipe() -> Recipe:
    return Recipe('Some', (
        Train('cam', 'train', config=CONFIG, cfg_options={'optim_wrapper.optimizer.lr': 1e-3}),
        Script('data', 'script', script='x.py', outputs=('y', )),
        PseudoLabels('labels', 'pseudo-labels', title='pseudo labels', checkpoint='cam'),
        EvaluateLabels('quality', 'evaluate-labels', labels='labels'),
        Test('val', 'test', checkpoint='cam')), path='configs/some/recipe.py')


def record(name: str, value: float, **changes: object) -> dict:
    found = dict(name=name, title=name, split='val', results={'pseudo/mIoU': value, 'pseudo/FP': 1.}, seconds=60.,
                 command='python', figure=None)
    return {**found, **changes}


def test_trainings_and_what_uses_them_are_repeated(recipe: Recipe, tmp_path):
    repeated = repeat_for_seeds(recipe, (3, 7))
    assert [stage.name for stage in repeated.stages] == [
        'data', 'cam-seed3', 'labels-seed3', 'quality-seed3', 'val-seed3',
        'cam-seed7', 'labels-seed7', 'quality-seed7', 'val-seed7']
    assert repeated.stage('labels-seed7').title == 'pseudo labels, seed 7'
    assert repeated.stage('quality-seed7').inputs == ('labels-seed7', )
    context = RecipeContext(repeated, tmp_path, ToolCommands(REPO))
    for seed in (3, 7):
        train = ' '.join(repeated.stage(f'cam-seed{seed}').command(context))
        assert f'randomness.seed={seed}' in train
        assert 'optim_wrapper.optimizer.lr=0.001' in train
        test = ' '.join(repeated.stage(f'val-seed{seed}').command(context))
        assert f'cam-seed{seed}/epoch_' in test


def test_mean_and_spread_are_reported(recipe: Recipe, tmp_path):
    repeated = repeat_for_seeds(recipe, (0, 1, 2))
    records = [record(f'quality-seed{seed}', value) for seed, value in enumerate((40., 43., 46.))]
    write_report(repeated, records, tmp_path)
    found, = read_results(tmp_path / 'results.json')['spread']
    assert found == dict(stage='quality', split='val', metric='pseudo/mIoU', mean=43., deviation=3.,
                         values=[40., 43., 46.])
    row = '| quality | val | pseudo/mIoU | 43.00 | 3.00 | 40.00, 43.00, 46.00 |'
    assert row in (tmp_path / 'report.md').read_text().splitlines()
    assert '<td>40.00, 43.00, 46.00</td>' in (tmp_path / 'report.html').read_text()


def test_a_single_finished_seed_has_no_deviation(recipe: Recipe, tmp_path):
    write_report(repeat_for_seeds(recipe, (0, 1)), [record('quality-seed1', 40.)], tmp_path)
    assert '| quality | val | pseudo/mIoU | 40.00 |  | 40.00 |' in (tmp_path / 'report.md').read_text()


def test_without_seeds_there_is_no_spread(recipe: Recipe, tmp_path):
    write_report(recipe, [record('quality', 40.)], tmp_path)
    assert 'spread' not in read_results(tmp_path / 'results.json')
    assert 'spread' not in (tmp_path / 'report.md').read_text()


def test_what_is_refused(recipe: Recipe):
    assert parse_seeds('0, 12') == (0, 12)
    for text in ('', '1,1', '1,01', '-1', '0;1', 'a'):
        with pytest.raises(RecipeError, match='--seeds must be different numbers'):
            parse_seeds(text)
    with pytest.raises(RecipeError, match='trains nothing'):
        repeat_for_seeds(Recipe('Some', recipe.stages[1:2]), (0, 1))
