"""tools/analysis_tools/benchmark.py: what is measured and compared, not how fast it is."""

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config

from ..helpers import call_tool, load_tool, tiny_runner_cfg, tiny_segmentor, write_config, write_voc_folder

SCRIPT = 'tools/analysis_tools/benchmark.py'
QUICK = ('--rounds', 2, '--warmup', 0, '--threads', 1)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Give a folder of configs: a model, the same with twice the loss, and a wider one."""
    root = tmp_path_factory.mktemp('benchmark')
    data = write_voc_folder(root / 'data')
    for name, head in (('one', {}), ('double', dict(loss_decode=dict(type='CrossEntropyLoss', loss_weight=2.0))),
                       ('wide', dict(channels=16))):
        write_config(tiny_runner_cfg(data, root / 'work', model=tiny_segmentor(**head)), root / f'{name}.py')
    return root


@pytest.fixture(autouse=True)
def same_threads():
    """Give other tests the threads back."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def report(root, *args):
    call_tool(SCRIPT, *args, *QUICK, '--json', root / 'report.json')
    return json.loads((root / 'report.json').read_text())


def test_one_config(root, capsys):
    result = report(root, root / 'one.py')
    row, = result['results']
    assert row['config'] == 'one'
    assert row['seconds'] >= row['fastest'] > 0
    assert row['per_second'] == pytest.approx(1 / row['seconds'])
    assert row['images_per_second'] == pytest.approx(2 / row['seconds'])
    assert row['peak_mib'] > 0
    assert 'speedup' not in result
    assert 'train, batch of 2, cpu' in capsys.readouterr().out


def test_the_same_config_twice_agrees(root):
    result = report(root, root / 'one.py', '--baseline', root / 'one.py')
    assert [row['config'] for row in result['results']] == ['one', 'one (baseline)']
    first, second = result['results']
    assert result['speedup'] == pytest.approx(second['seconds'] / first['seconds'])
    assert result['memory_ratio'] == pytest.approx(1, abs=0.05)
    assert result['differences'] == dict(loss=0, gradient=0)


def test_differences_are_found(root):
    result = report(root, root / 'one.py', '--baseline', root / 'double.py', '--no-memory')
    assert result['differences']['loss'] == pytest.approx(1)
    assert result['differences']['gradient'] == pytest.approx(1)
    assert 'memory_ratio' not in result


def test_other_weights_are_not_compared(root):
    assert report(root, root / 'one.py', '--baseline', root / 'wide.py', '--no-memory')['differences'] == {}


def test_data_of_the_config(root):
    result = report(root, root / 'one.py', '--data', 'real', '--batch-size', 3, '--no-memory')
    assert result['batch_size'] == 3


def test_cams(root):
    result = report(root, 'configs/toco/toco_vit-micro_sample.py', '--task', 'cams', '--image-size', 40, 48,
                    '--baseline', 'configs/toco/toco_vit-micro_sample.py')
    assert result['batch_size'] == 1
    assert result['differences'] == dict(cams=0)


def test_cams_of_a_model_without(root):
    with pytest.raises(TypeError, match='EncoderDecoder of config one gives no CAMs'):
        call_tool(SCRIPT, root / 'one.py', '--task', 'cams', *QUICK)


@pytest.fixture(scope='module')
def tool():
    return load_tool(SCRIPT)


def test_pipelines_are_found_in_wrappers(tool):
    assert tool.find_pipeline(Config(dict(d=dict(dataset=dict(datasets=[dict(pipeline=[1])])))).d) == [1]
    assert tool.find_pipeline(dict(pipeline=[2], dataset=dict(pipeline=[1]))) == [2]
    with pytest.raises(ValueError, match='dataset A has no pipeline'):
        tool.find_pipeline(dict(type='A'))


def test_relative_difference(tool):
    one = torch.tensor([1., -4.])
    assert tool.relative(one, torch.tensor([1.5, -4.])) == pytest.approx(0.125)
    assert np.isfinite(tool.relative(torch.zeros(2), torch.zeros(2)))
