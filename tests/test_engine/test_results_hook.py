"""The hook that writes results.json during training."""

from types import SimpleNamespace

import pytest

from mmwsss.engine.hooks import ResultsHook
from mmwsss.utils.results import read_results


@pytest.fixture
def make_runner(tmp_path):
    """Give a function that makes what the hook reads of a Runner."""
    def make(iteration, last_ckpt=None):
        hub = SimpleNamespace(runtime_info={'last_ckpt': last_ckpt})
        return SimpleNamespace(work_dir=str(tmp_path), iter=iteration, epoch=0, message_hub=hub,
                               cfg=SimpleNamespace(filename='cfg.py'))

    return make


def test_last_and_best_validation(make_runner, tmp_path):
    hook = ResultsHook()
    hook.before_train(make_runner(0))
    hook.after_val_epoch(make_runner(4, 'work/iter_4.pth'), {'seg/mIoU': 30., 'cam/FP': 9.})
    hook.after_val_epoch(make_runner(8, 'work/iter_4.pth'), {'seg/mIoU': 20., 'cam/FP': 8.})
    found = read_results(tmp_path / 'results.json')
    assert (found['tool'], found['config'], found['iter']) == ('train.py', 'cfg.py', 8)
    assert found['metrics'] == {'seg/mIoU': 20., 'cam/FP': 8.}
    assert found['best'] == {'seg/mIoU': {'value': 30., 'epoch': 0, 'iter': 4}}, 'a low rate of errors is good'
    assert found['checkpoint'] is None, 'these weights were not saved'


def test_a_resumed_run_adds_to_the_file(make_runner, tmp_path):
    hook = ResultsHook('configs/a.py')
    for iteration in (4, 8):
        hook.after_val_epoch(make_runner(iteration), {'seg/mIoU': 10. * iteration})
    resumed = ResultsHook('configs/a.py')
    resumed.before_train(make_runner(6))
    resumed.after_val_epoch(make_runner(8, 'work/iter_8.pth'), {'seg/mIoU': 5.})
    found = read_results(tmp_path / 'results.json')
    assert [(entry['iter'], entry['metrics']['seg/mIoU']) for entry in found['validations']] == [(4, 40.), (8, 5.)]
    assert found['checkpoint'] == 'work/iter_8.pth'
    assert found['config'] == 'configs/a.py'
