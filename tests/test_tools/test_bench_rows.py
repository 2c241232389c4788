"""The benchmarks of tools/analysis_tools on small inputs: both sides agree, and their JSON has the common format."""

import json
import time

import cv2
import measurements  # tools/analysis_tools
import pytest
import torch

from ..helpers import call_tool, load_tool

NAMES = ('affinity', 'aream', 'par', 'pipeline', 'threshold_sweep', 'toco', 'weaktr')


@pytest.fixture(autouse=True)
def same_threads():
    """Give other tests the threads back."""
    threads = torch.get_num_threads(), cv2.getNumThreads()
    yield
    torch.set_num_threads(threads[0])
    cv2.setNumThreads(threads[1])


@pytest.fixture(scope='module')
def tool():
    return load_tool('tools/analysis_tools/bench_all.py')


@pytest.mark.parametrize('name', NAMES)
def test_rows(name, tool, tmp_path):
    call_tool(tool.benchmarks()[name], *tool.QUICK[name], '--json', tmp_path / 'report.json')
    report = tool.checked(json.loads((tmp_path / 'report.json').read_text()))
    assert report['name'] == name
    assert report['versions']['torch'] == torch.__version__
    for row in report['rows']:
        assert len(row.get('seconds', [0])) == len(row.get('baseline_seconds', [0])) == 1
        if row['equal_to'] is not None:
            assert row['equal_to'] < (.1 if 'bfloat16' in row['what'] else 1e-3), row
    assert any('bfloat16' in row['what'] for row in report['rows']) == (name == 'toco')


def test_rounds_are_taken_in_turns_after_one_to_warm_up():
    calls = []
    seconds = measurements.time_in_turns([lambda: calls.append('a'), lambda: calls.append('b') or time.sleep(.01)],
                                         'cpu', 3)
    assert calls == ['a', 'b'] * 4
    assert [len(taken) for taken in seconds] == [3, 3]
    assert min(seconds[1]) >= .01


def test_ratios_are_those_of_medians():
    row = measurements.result_row('a', 'b', [1., 2., 30.], [8., 4., 100.], torch.tensor(1e-3), 3)
    assert (row['ratio'], row['memory_ratio']) == (4, 3)
    assert row['equal_to'] == pytest.approx(1e-3)
