"""Checkpoints of runs: written whole, kept as asked for, loaded only where they fit."""

import itertools
import logging

import pytest
import torch
from mmengine.config import Config
from mmengine.fileio import LocalBackend
from mmengine.runner import Runner

from mmwsss.checkpoints import CheckpointError, read_checkpoint
from mmwsss.engine import CheckpointHook

from ...helpers import tiny_runner_cfg, tiny_segmentor, write_voc_folder

names = (f'checkpoint_hook_{index}' for index in itertools.count())


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_voc_folder(tmp_path_factory.mktemp('data'))


def runner_of(cfg, **changes):
    """Build a runner of a name of its own."""
    return Runner.from_cfg(Config(dict(cfg, experiment_name=next(names), **changes), format_python_code=False))


@pytest.fixture
def cfg(data, tmp_path):
    cfg = tiny_runner_cfg(data, tmp_path / 'work')
    cfg['default_hooks']['checkpoint'] = dict(type='CheckpointHook', by_epoch=False, interval=1)
    return cfg


def test_the_name_means_this_hook_in_our_scope(cfg):
    runner = runner_of(cfg)
    assert [type(hook) for hook in runner.hooks if 'CheckpointHook' in type(hook).__name__] == [CheckpointHook]


def test_files_of_a_run(cfg, tmp_path):
    cfg['default_hooks']['checkpoint']['max_keep_ckpts'] = 2
    cfg['train_cfg']['max_iters'] = 4
    runner_of(cfg).train()
    assert sorted(path.name for path in (tmp_path / 'work').glob('*.pth')) == ['iter_3.pth', 'iter_4.pth']
    assert (tmp_path / 'work/last_checkpoint').read_text() == str(tmp_path / 'work/iter_4.pth')
    runner = runner_of(cfg, resume=True, train_cfg=dict(cfg['train_cfg'], max_iters=5))
    runner.train()
    assert runner.iter == 5
    assert sorted(path.name for path in (tmp_path / 'work').glob('*.pth')) == ['iter_4.pth', 'iter_5.pth']


def test_the_best_checkpoint_is_kept(cfg, tmp_path):
    cfg['default_hooks']['checkpoint'].update(save_best='seg/mIoU', max_keep_ckpts=1)
    runner_of(cfg).train()
    best, = (tmp_path / 'work').glob('best_*.pth')
    assert read_checkpoint(best)['meta']['iter'] == 2


class FullDisk(Exception):
    """There is no space left."""


def test_a_full_disk_leaves_the_earlier_checkpoint(cfg, tmp_path, monkeypatch):
    cfg['default_hooks']['checkpoint']['max_keep_ckpts'] = 1
    runner_of(cfg, train_cfg=dict(cfg['train_cfg'], max_iters=1)).train()
    before = {path.name: path.read_bytes() for path in (tmp_path / 'work').iterdir() if path.is_file()}

    def fill(self, obj, filepath):
        with open(filepath, 'wb') as file:
            file.write(obj[:1000])
        raise FullDisk

    monkeypatch.setattr(LocalBackend, 'put', fill)
    with pytest.raises(FullDisk):
        runner_of(cfg, resume=True).train()
    after = {path.name: path.read_bytes() for path in (tmp_path / 'work').iterdir() if path.is_file()}
    before.pop(next((name for name in before if name.endswith('.py')), None), None)
    assert set(before) <= set(after)
    assert {name for name in after if name.endswith('.pth')} == {'iter_1.pth'}
    for name in ('iter_1.pth', 'last_checkpoint'):
        assert after[name] == before[name]


def test_writing_over_a_checkpoint_is_whole_or_not_at_all(cfg, tmp_path, monkeypatch):
    runner_of(cfg).train()
    before = (tmp_path / 'work/iter_2.pth').read_bytes()

    def fill(self, obj, filepath):
        with open(filepath, 'wb') as file:
            file.write(obj[:1000])
        raise FullDisk

    monkeypatch.setattr(LocalBackend, 'put', fill)
    with pytest.raises(FullDisk):
        runner_of(cfg).train()
    assert (tmp_path / 'work/iter_2.pth').read_bytes() == before


def other_classes(cfg):
    """Change the model of a config to one class more."""
    return dict(model=tiny_segmentor(num_classes=4))


def other_model(cfg):
    """Change the model of a config to one with another head."""
    return dict(model=tiny_segmentor(num_convs=2))


MISFITS = {'classes': (other_classes, r'3 classes with background.*differ in shape.*conv_seg'),
           'model': (other_model, r'it lacks .* of .* weights: .decode_head.convs.1')}


@pytest.mark.parametrize('resume', [False, True])
@pytest.mark.parametrize('kind', MISFITS)
def test_a_checkpoint_of_another_model_is_refused(cfg, tmp_path, kind, resume):
    runner_of(cfg).train()
    change, message = MISFITS[kind]
    changes = dict(change(cfg), load_from=str(tmp_path / 'work/iter_2.pth'), work_dir=str(tmp_path / 'other'))
    with pytest.raises(CheckpointError, match=rf'iter_2\.pth .*{message}.*load_strict=False') as caught:
        runner_of(cfg, resume=resume, **changes).train()
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('content', [dict(meta={}), dict(), dict(meta=dict(epoch=0, iter=1))])
def test_weights_alone_are_not_resumed(cfg, tmp_path, content):
    torch.save(dict(content, state_dict=runner_of(cfg).model.state_dict()), tmp_path / 'weights.pth')
    with pytest.raises(CheckpointError, match=r'weights\.pth is of no run that could be resumed.*load_from'):
        runner_of(cfg, resume=True, load_from=str(tmp_path / 'weights.pth')).train()
    runner_of(cfg, load_from=str(tmp_path / 'weights.pth')).train()


def test_misfits_are_loaded_when_asked_for(cfg, tmp_path):
    runner_of(cfg).train()
    cfg['default_hooks']['checkpoint']['load_strict'] = False
    runner = runner_of(cfg, load_from=str(tmp_path / 'work/iter_2.pth'), work_dir=str(tmp_path / 'other'),
                       model=tiny_segmentor(num_classes=4))
    runner.load_or_resume()
    saved = read_checkpoint(tmp_path / 'work/iter_2.pth')['state_dict']
    assert torch.equal(runner.model.backbone.conv1.weight, saved['backbone.conv1.weight'])


def test_a_test_refuses_a_checkpoint_of_another_model(cfg, tmp_path):
    runner_of(cfg).train()
    with pytest.raises(CheckpointError, match='does not fit'):
        runner_of(cfg, load_from=str(tmp_path / 'work/iter_2.pth'), **other_model(cfg)).test()


def test_weights_that_are_not_finite_are_refused_by_runs(cfg, tmp_path):
    runner_of(cfg).train()
    content = read_checkpoint(tmp_path / 'work/iter_2.pth')
    content['state_dict']['decode_head.conv_seg.bias'][1] = float('nan')
    torch.save(content, tmp_path / 'nan.pth')
    for changes in (dict(load_from=str(tmp_path / 'nan.pth')), dict(load_from=str(tmp_path / 'nan.pth'), resume=True)):
        for run in (Runner.train, Runner.test):
            with pytest.raises(CheckpointError, match=r'nan\.pth has weights that are not finite: decode_head'):
                run(runner_of(cfg, **changes))


def rates(cfg, iterations, **changes):
    """Train and return the learning rate of the iterations that were trained."""
    runner = runner_of(cfg, train_cfg=dict(cfg['train_cfg'], max_iters=iterations, val_interval=99), **changes)
    runner.train()
    history = runner.message_hub.get_scalar('train/lr').data[0]
    return [float(rate) for rate in history]


POLY = dict(type='WarmupPolyLR', by_epoch=False, warmup=2, warmup_ratio=0.1)
COSINE = dict(type='LaggedCosineLR', by_epoch=False, warmup=1, warmup_lr=1e-4, min_lr=1e-5)


@pytest.mark.parametrize('schedule', [POLY, COSINE])
def test_a_resumed_run_follows_the_config_s_schedule(cfg, tmp_path, schedule):
    cfg['param_scheduler'] = [schedule]
    whole = rates(cfg, 6, work_dir=str(tmp_path / 'whole'))
    rates(cfg, 3, work_dir=str(tmp_path / 'short'))
    found = rates(cfg, 6, load_from=str(tmp_path / 'short/iter_3.pth'), resume=True, work_dir=str(tmp_path / 'long'))
    assert found[-3:] == whole[-3:], 'to the last bit, as in a run of that length from the start'
    again = rates(cfg, 6, load_from=str(tmp_path / 'whole/iter_3.pth'), resume=True, work_dir=str(tmp_path / 'same'))
    assert again[-3:] == whole[-3:]


def test_schedules_of_mmengine_give_one_warning(cfg, tmp_path):
    cfg['param_scheduler'] = [dict(type='PolyLR', by_epoch=False, power=0.9)]
    rates(cfg, 3, work_dir=str(tmp_path / 'short'))
    records = []

    class Keep(logging.Handler):
        def emit(self, record):
            records.append(record.getMessage())

    runner = runner_of(cfg, train_cfg=dict(cfg['train_cfg'], max_iters=6, val_interval=99), resume=True,
                       load_from=str(tmp_path / 'short/iter_3.pth'), work_dir=str(tmp_path / 'long'))
    runner.logger.addHandler(Keep())
    runner.train()
    warnings = [text for text in records if 'The checkpoint decides the schedule' in text]
    assert len(warnings) == 1
    assert 'end is 6 in the config and 3 in the checkpoint' in warnings[0]
