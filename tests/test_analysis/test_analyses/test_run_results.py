"""Analyses of finished runs: times, share of full supervision, scatter, IoU of classes, and sweeps."""

import json

import pytest

from mmwsss.analysis import build_analysis
from mmwsss.utils.errors import UserError
from mmwsss.utils.results import write_results
from tests.helpers import call_tool

GRID = 'model.train_cfg.'


def analyze(tmp_path, name, *args):
    call_tool('tools/analyze.py', name, *args, '--out', tmp_path / 'out')
    assert (tmp_path / f'out/{name}.png').stat().st_size
    table = tmp_path / f'out/{name}.md'
    return json.loads((tmp_path / f'out/{name}.json').read_text()), table.read_text() if table.exists() else ''


@pytest.fixture
def runs(tmp_path):
    """Write the results of two trainings to folders."""
    for name, value in (('weak', 69.8), ('full', 80.5)):
        for part in ('', 'voc/', 'coco/'):
            metrics = {'seg/mIoU': value - 20 * (part == 'coco/')}
            write_results(tmp_path / name / part / 'results.json', 'test.py', metrics)
    return tmp_path


def test_share_of_full_supervision(runs):
    """The numbers are those of ToCo's Table 3."""
    _, text = analyze(runs, 'supervision-ratio', runs / 'weak', runs / 'full')
    assert '| weak | 69.80 | 86.71 | -10.70 |' in text
    _, text = analyze(runs, 'supervision-ratio', runs / 'full', runs / 'weak', '--options', 'full=full')
    assert 'ratio to full' in text
    with pytest.raises(UserError, match='full=all is none of the runs weak, full'):
        analyze(runs, 'supervision-ratio', runs / 'weak', runs / 'full', '--options', 'full=all')
    with pytest.raises(UserError, match='has no cam/mIoU; its metrics are seg/mIoU'):
        analyze(runs, 'supervision-ratio', runs / 'weak', '--options', 'metric=cam/mIoU')
    with pytest.raises(FileNotFoundError, match='give the work directory'):
        analyze(runs, 'supervision-ratio', runs / 'nowhere')


def test_scatter(runs):
    others = "others=[('other, published', 60, 40)]"
    record, _ = analyze(runs, 'scatter', runs / 'weak', runs / 'full', '--options', others)
    assert [run['data'] for run in record['runs']] == [{'x': 69.8, 'y': pytest.approx(49.8)}, {'x': 80.5, 'y': 60.5}]


def test_times_of_stages(tmp_path):
    stages = [dict(title='CAM', kind='train', seconds=4380.), dict(title='maps', kind='cam-table', seconds=4200.)]
    write_results(tmp_path / 'recipe/results.json', 'run_recipe.py', {}, stages=stages)
    record, text = analyze(tmp_path, 'stage-times', tmp_path / 'recipe')
    assert record['metrics'] == {'recipe minutes': 143.}
    assert '| recipe | CAM | train | 73.0 |' in text
    assert '| recipe | all stages |  | 143.0 |' in text
    write_results(tmp_path / 'training/results.json', 'train.py', {})
    with pytest.raises(UserError, match='is not the output folder of a recipe'):
        analyze(tmp_path, 'stage-times', tmp_path / 'training')


def test_classes(tmp_path):
    """Of maps, the threshold with the best mean counts."""
    label = dict(classes=['background', 'cat', 'dog'], IoU=[90., 50., None])
    maps = dict(classes=['background', 'cat', 'dog'], IoU=[[0., 0., 0.], [80., 60., 40.]], mIoU=[0., 60.])
    for name, content in (('labels', label), ('maps', maps)):
        (tmp_path / f'{name}.json').write_text(json.dumps(content))
    _, text = analyze(tmp_path, 'class-table', tmp_path / 'labels.json', tmp_path / 'maps.json')
    assert text.splitlines()[2:] == ['| background | 90.00 (best) | 80.00 |', '| cat | 50.00 | 60.00 (best) |',
                                     '| dog | - | 40.00 (best) |', '| mean | 70.00 | 60.00 |']
    (tmp_path / 'other.json').write_text('{}')
    with pytest.raises(UserError, match='no IoU of classes'):
        analyze(tmp_path, 'class-table', tmp_path / 'other.json')


def write_sweep(folder, points, **further):
    runs = [dict(name=str(params), params=params, finished=True, minutes=1., metrics=metrics, deviations={}, values={},
                 published=published) for params, metrics, published in points]
    write_results(folder / 'sweep.json', 'sweep.py', {}, title='Some', runs=runs, **further)


def test_one_parameter(tmp_path):
    points = [({GRID + 'low': low}, {'seg/mIoU': 60 + low}, {'seg/mIoU': 50.}) for low in (.3, .2)]
    write_sweep(tmp_path / 'sweep', points, default={GRID + 'low': .2})
    record, _ = analyze(tmp_path, 'sweep', tmp_path / 'sweep')
    assert record['runs'][0]['data']['default'] == {GRID + 'low': .2}


def test_two_parameters_and_words(tmp_path):
    points = [({'low': low, 'kind': kind}, {}, {'seg/mIoU': 50. + low}) for low in (.2, .3) for kind in ('abs', 'cos')]
    write_sweep(tmp_path / 'sweep', points[:-1], default={})
    analyze(tmp_path, 'sweep', tmp_path / 'sweep', '--format', 'png')
    analyze(tmp_path, 'sweep', tmp_path / 'sweep', '--options', 'params=kind')
    write_sweep(tmp_path / 'more', [({'a': i, 'b': i, 'c': i}, {'m': 1.}, {}) for i in (1, 2)], default={})
    with pytest.raises(UserError, match='the sweep varies a, b, c: choose one or two'):
        analyze(tmp_path, 'sweep', tmp_path / 'more')
    with pytest.raises(FileNotFoundError, match='give the output folder of tools/sweep.py'):
        build_analysis('sweep')[0].read(tmp_path)
