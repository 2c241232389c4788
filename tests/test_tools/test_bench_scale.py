"""tools/analysis_tools/bench_scale.py: what is fitted and extrapolated, not how long it takes."""

import json
from pathlib import Path

import pytest

from tests.helpers import call_tool, load_tool

SCRIPT = 'tools/analysis_tools/bench_scale.py'
SIZES = [(4, 1), (4, 3), (8, 1), (8, 3), (16, 2)]


@pytest.mark.parametrize('expected', [(2., .5, .25), (0., .5, 0.), (3., 0., .1)])
def test_costs_are_found_again(expected: tuple):
    bench = load_tool(SCRIPT)
    costs, deviation = bench.fit(SIZES, [bench.Costs(*expected).total(*size) for size in SIZES])
    assert costs == pytest.approx(expected, abs=1e-9)
    assert deviation == pytest.approx(0, abs=1e-9)


def test_no_cost_is_negative_and_the_deviation_is_told():
    bench = load_tool(SCRIPT)
    costs, deviation = bench.fit([(1, 1), (2, 1), (4, 1)], [2, 1, 1])
    assert min(costs) >= 0
    assert deviation > .2


def test_totals_are_those_of_all_images_and_their_classes():
    bench = load_tool(SCRIPT)
    found = bench.extrapolate({'CAMs': (bench.Costs(1., 2., 3.), 0.)})
    assert found['CAMs']['VOC'] == pytest.approx(1 + 10_582 * (2 + 1.5 * 3))
    assert found['CAMs']['COCO'] == pytest.approx(1 + 82_081 * (2 + 2.9 * 3))


def test_every_stage_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture):
    call_tool(SCRIPT, '--sizes', 2, 3, '--present', 1, 2, '--image-size', 40, 56, '--clock', 'cpu', '--device', 'cpu',
              '--json', tmp_path / 'scale.json')
    report = json.loads((tmp_path / 'scale.json').read_text())
    stages = {'classifier training, an epoch', 'reading the lists', 'CAMs', 'checking finished files',
              'labels of saved CAMs', 'labels of saved CAMs, dense CRF', 'evaluation', 'segmentor training, an epoch',
              'segmentation'}
    assert [(row['images'], row['present']) for row in report['rows']] == [(2, 1), (2, 2), (3, 1), (3, 2)]
    for row in report['rows']:
        assert set(row['seconds']) == stages
        assert all(value > 0 for value in [*row['seconds'].values(), *row['bytes'].values()])
    few, many = report['rows'][0]['bytes'], report['rows'][3]['bytes']
    assert few['CAMs'] > few['CAMs at stride 4']
    assert many['CAMs'] > 2 * few['CAMs'], 'three images of two classes have more than twice the maps of two of one'
    assert set(report['seconds']) == stages
    output = capsys.readouterr().out
    assert 'a million photographs' in output
    assert 'CPU seconds' in output
