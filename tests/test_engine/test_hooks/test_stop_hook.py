"""A signal during training: the iteration is finished, a checkpoint of it saved, and the run can be resumed."""

import itertools
import os
import signal
from types import SimpleNamespace

import pytest
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmwsss.engine.hooks import StopHook
from mmwsss.utils.signals import Stopped, catch_signals, finish_first

from ...helpers import assert_same_state, tiny_runner_cfg, write_voc_folder

names = (f'stop_hook_{index}' for index in itertools.count())


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_voc_folder(tmp_path_factory.mktemp('data'))


class Send(Hook):
    """Send SIGTERM at a point of the run."""

    def __init__(self, point, step):
        self.point, self.step = point, step

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self._send('train', runner.iter)

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        self._send('val', batch_idx)

    def _send(self, point, step):
        if (point, step) == (self.point, self.step):
            os.kill(os.getpid(), signal.SIGTERM)


def config(data, work_dir, by_epoch=False, **changes):
    cfg = tiny_runner_cfg(data, work_dir, max_iters=5)
    cfg['default_hooks']['checkpoint'] = dict(type='CheckpointHook', by_epoch=by_epoch, interval=4)
    cfg['train_dataloader'].update(sampler=dict(type='IterationSampler', shuffle=True))
    cfg['custom_hooks'] = [dict(type='IterationSeedHook')]
    if by_epoch:
        cfg['train_cfg'] = dict(type='EpochBasedTrainLoop', max_epochs=5, val_interval=9)
        cfg['train_dataloader'].update(sampler=dict(type='EpochSampler'), drop_last=True)
    return dict(cfg, experiment_name=next(names), **changes)


def train(cfg, *hooks):
    runner = Runner.from_cfg(Config(cfg, format_python_code=False))
    for hook in (*hooks, StopHook()):
        runner.register_hook(hook)
    with catch_signals(), finish_first():
        runner.train()
    return runner


def checkpoints(folder):
    return sorted(path.name for path in folder.glob('*.pth'))


def test_training_stops_after_the_iteration_and_resumes_bit_for_bit(data, tmp_path):
    train(config(data, tmp_path / 'whole'))
    with pytest.raises(Stopped) as caught:
        train(config(data, tmp_path / 'run'), Send('train', 1))
    assert caught.value.code == 143
    assert checkpoints(tmp_path / 'run') == ['iter_2.pth']
    runner = train(config(data, tmp_path / 'run', resume=True))
    assert runner.iter == 5
    assert_same_state(tmp_path / 'whole/iter_5.pth', tmp_path / 'run/iter_5.pth')


def test_the_regular_checkpoint_of_the_iteration_is_enough(data, tmp_path, monkeypatch):
    saved, save = [], Runner.save_checkpoint

    def note_and_save(runner, out_dir, filename, *args, **kwargs):
        saved.append(filename)
        save(runner, out_dir, filename, *args, **kwargs)

    monkeypatch.setattr(Runner, 'save_checkpoint', note_and_save)
    with pytest.raises(Stopped):
        train(config(data, tmp_path / 'run'), Send('train', 3))
    assert saved == ['iter_4.pth']


def test_a_stop_in_validation_keeps_the_weights(data, tmp_path):
    cfg = config(data, tmp_path / 'run')
    cfg['train_cfg']['val_interval'] = 3
    with pytest.raises(Stopped):
        train(cfg, Send('val', 1))
    assert checkpoints(tmp_path / 'run') == ['iter_3.pth']
    runner = train(config(data, tmp_path / 'run', resume=True))
    assert runner.iter == 5


def test_a_stop_within_an_epoch_repeats_it(data, tmp_path):
    train(config(data, tmp_path / 'whole', by_epoch=True))
    for iteration, found in ((1, []), (2, ['epoch_1.pth']), (7, ['epoch_1.pth'])):
        with pytest.raises(Stopped):
            train(config(data, tmp_path / 'run', by_epoch=True, resume=bool(found)), Send('train', iteration))
        assert checkpoints(tmp_path / 'run') == found
    train(config(data, tmp_path / 'run', by_epoch=True, resume=True))
    assert_same_state(tmp_path / 'whole/epoch_5.pth', tmp_path / 'run/epoch_5.pth')


def test_libraries_are_initialized_before_workers_are_forked(monkeypatch):
    called = []
    monkeypatch.setattr('mmwsss.engine.hooks.stop_hook.initialize_before_fork', lambda: called.append(1))
    loader = DataLoader(list(range(4)), num_workers=1)
    StopHook().before_train(SimpleNamespace(train_dataloader=loader))
    assert called
    assert loader.worker_init_fn is not None
