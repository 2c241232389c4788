"""set_iterations: one factor for everything in a config that depends on the length of training."""

import copy
from pathlib import Path

import pytest
from mmengine.config import Config

from mmwsss.engine import run_length, set_iterations
from mmwsss.utils.errors import UserError

from ..helpers import REPO

CONFIGS = sorted(path for path in (REPO / 'configs').glob('*/*.py')
                 if path.stem.endswith(('_sample', '_photos', '_voc', '_coco'))
                 and not path.stem.startswith(('recipe', 'sweep'))
                 and path.parent.name != '_base_')
PER_EPOCH = 40


def load(name) -> Config:
    return Config.fromfile(name if isinstance(name, Path) else REPO / f'configs/{name}.py', format_python_code=False)


def schedules(cfg: Config) -> list[dict]:
    return [dict(schedule) for schedule in cfg.param_scheduler] if cfg.get('param_scheduler') else []


def beginnings(node) -> list[int]:
    """All lengths in a model's config, in order."""
    if isinstance(node, (list, tuple)):
        return [value for item in node for value in beginnings(item)]
    if not isinstance(node, dict):
        return []
    return [entry for key, value in node.items()
            for entry in ([value] if key == 'begin' or key.endswith('_begin') else beginnings(value))]


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_every_config_scales_by_one_factor(path):
    old, factor = load(path), .5
    cfg = copy.deepcopy(old)
    total = run_length(old, PER_EPOCH)
    iters = round(total * factor)
    set_iterations(cfg, iters, PER_EPOCH)
    assert cfg.train_cfg.type == 'IterBasedTrainLoop'
    assert (cfg.train_cfg.max_iters, cfg.train_cfg.get('max_epochs')) == (iters, None)
    assert cfg.train_dataloader.sampler.type == 'IterationSampler'
    assert not cfg.log_processor.by_epoch
    assert not cfg.default_hooks.logger.log_metric_by_epoch
    assert not cfg.default_hooks.checkpoint.by_epoch
    unit = PER_EPOCH if 'max_epochs' in old.train_cfg else 1
    assert cfg.train_cfg.val_interval == pytest.approx(old.train_cfg.val_interval * unit * factor, abs=1)
    for hook, each in (('checkpoint', unit), ('logger', 1)):
        interval = old.default_hooks[hook].interval * each * factor
        assert cfg.default_hooks[hook].interval == pytest.approx(interval, abs=1)
    for before, after in zip(schedules(old), schedules(cfg)):
        each = PER_EPOCH if before['by_epoch'] else 1
        assert not after['by_epoch']
        for key in {'warmup', 'total', 'lag'} & before.keys():
            assert after[key] == pytest.approx(before[key] * each * factor, abs=1), key
    counts_epochs = unit > 1 and 'auxiliary' in old.model
    each = PER_EPOCH if counts_epochs else 1
    assert beginnings(cfg.model) == pytest.approx([value * each * factor for value in beginnings(old.model)], abs=1)


def test_an_epoch_based_config():
    cfg = set_iterations(load('mctformer/mctformer-v2_deit-s_voc'), 300, 165)  # 60 epochs of 165: 1 / 33
    assert cfg.train_cfg == dict(type='IterBasedTrainLoop', max_iters=300, val_interval=25)
    assert cfg.param_scheduler == [
        dict(type='LaggedCosineLR', by_epoch=False, warmup=25, warmup_lr=1e-6, min_lr=1e-5, lag=5)]
    assert cfg.default_hooks.checkpoint.interval == 25
    assert cfg.default_hooks.logger.interval == 2


def test_an_iteration_based_config_with_phases():
    cfg = set_iterations(load('toco/toco_vit-b_coco'), 8000, 1)  # a tenth
    assert cfg.train_cfg == dict(type='IterBasedTrainLoop', max_iters=8000, val_interval=400)
    assert [phase.begin for phase in cfg.model.train_cfg.phases] == [0, 800, 1200]
    assert cfg.model.train_cfg.final_cam_begin == 1200
    assert (cfg.param_scheduler[0].total, cfg.param_scheduler[0].warmup) == (8000, 150)


def test_every_phase_of_a_very_short_run_comes():
    cfg = set_iterations(load('toco/toco_dinov2-s_photos'), 4, 41)
    assert [phase.begin for phase in cfg.model.train_cfg.phases] == [0, 1, 2]
    assert cfg.param_scheduler[0].warmup == 1
    assert cfg.default_hooks.checkpoint.interval == 1


def test_every_schedule_of_a_very_short_run_has_an_iteration():
    cfg = set_iterations(load('aream/aream_conformer-s_voc'), 1, 1323)
    assert [(scheduler.begin, scheduler.end) for scheduler in cfg.param_scheduler] == [(0, 1), (1, 2)]


@pytest.mark.parametrize('name', ['aream/aream_deit-s_voc', 'aream/toco+aream_vit-b_voc'])
def test_an_auxiliary_that_counts_epochs_or_iterations(name):
    cfg = load(name)
    total = run_length(cfg, 10)
    before = cfg.model.auxiliary.reactivation.begin * (1 if 'toco' in name else 10)
    set_iterations(cfg, 400, 10)
    assert cfg.model.auxiliary.reactivation.begin == round(before * 400 / total)
    assert cfg.model.auxiliary.reactivation.by_epoch is False


def test_schedules_and_hooks_of_mmengine():
    cfg = Config(dict(
        model=dict(type='X'),
        train_dataloader=dict(sampler=dict(type='DefaultSampler', shuffle=True)),
        train_cfg=dict(by_epoch=True, max_epochs=10, val_interval=2, val_begin=4, dynamic_intervals=[(8, 1)]),
        param_scheduler=[
            dict(type='LinearLR', start_factor=.1, by_epoch=True, begin=0, end=2, convert_to_iter_based=True),
            dict(type='MultiStepLR', milestones=[4, 8]),
            dict(type='CosineAnnealingLR', by_epoch=False, T_max=1000, begin=20, end=1000)],
        custom_hooks=[dict(type='EMAHook', begin_epoch=5), dict(type='PseudoLabelHook', interval=2)]))
    set_iterations(cfg, 100, 100)  # a tenth of 1000
    assert cfg.train_cfg == dict(type='IterBasedTrainLoop', max_iters=100, val_interval=20, val_begin=40,
                                 dynamic_intervals=[(80, 10)])
    assert cfg.train_dataloader.sampler == dict(type='InfiniteSampler', shuffle=True)
    assert cfg.param_scheduler == [
        dict(type='LinearLR', start_factor=.1, by_epoch=False, begin=0, end=20),
        dict(type='MultiStepLR', milestones=[40, 80], by_epoch=False),
        dict(type='CosineAnnealingLR', by_epoch=False, T_max=100, begin=2, end=100)]
    assert cfg.custom_hooks == [dict(type='EMAHook', begin_iter=50),
                                dict(type='PseudoLabelHook', interval=20, by_epoch=False)]


def test_wrong_lengths_are_refused():
    with pytest.raises(UserError, match='must be 1 or more, got 0'):
        set_iterations(load('toco/toco_vit-b_voc'), 0, 10)
    with pytest.raises(UserError, match='fewer images than a batch'):
        set_iterations(load('mctformer/mctformer-v2_deit-s_voc'), 10, 0)
    with pytest.raises(UserError, match='neither max_iters nor max_epochs'):
        set_iterations(Config(dict(train_cfg=dict(type='X'))), 10, 10)
