"""What ToCo's configs say about one GPU: lengths in iterations, groups of images, updates of the teacher."""

import pytest
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from torch import nn

from mmwsss.engine.schedulers import warmup_poly
from mmwsss.registry import MODELS

from .helpers import REPO


def load(name):
    return Config.fromfile(REPO / f'configs/toco/{name}.py', format_python_code=False)


@pytest.mark.parametrize(('data', 'count', 'iterations', 'warmup', 'begins', 'final_cam', 'interval'), [
    ('voc', 2, 40000, 3000, [0, 4002], 0, 4000),
    ('coco', 4, 320000, 6000, [0, 32004, 48004], 48004, 16000)])
def test_one_gpu_updates_as_often_as_published(data, count, iterations, warmup, begins, final_cam, interval):
    cfg, published = load(f'toco_vit-b_{data}_1gpu'), load(f'toco_vit-b_{data}')
    assert cfg.model.train_cfg.accumulative_counts == cfg.optim_wrapper.accumulative_counts == count
    assert build_optim_wrapper(nn.Linear(1, 1), cfg.optim_wrapper)._accumulative_counts == count
    assert cfg.train_cfg.max_iters == iterations == count * published.train_cfg.max_iters
    assert cfg.train_cfg.val_interval == interval == count * published.train_cfg.val_interval
    schedule = {key: value for key, value in cfg.param_scheduler[0].items() if key not in ('type', 'by_epoch')}
    assert (schedule['total'], schedule['warmup']) == (iterations, warmup)
    assert [phase.begin for phase in cfg.model.train_cfg.phases] == begins
    assert cfg.model.train_cfg.final_cam_begin == final_cam
    assert cfg.train_dataloader.batch_size == 2
    # The rate of an update lies between those of the published update and the next one.
    theirs = {key: value for key, value in published.param_scheduler[0].items() if key not in ('type', 'by_epoch')}
    for update in (0, 1000, 10000, 19999):
        rate = warmup_poly((update + 1) * count - 1, **schedule)
        bounds = sorted(warmup_poly(update + step, **theirs) for step in range(2))
        assert bounds[0] <= rate <= bounds[1]


def test_lengths_are_those_of_the_phases():
    for data, count in (('voc', 2), ('coco', 4)):
        cfg, published = load(f'toco_vit-b_{data}_1gpu'), load(f'toco_vit-b_{data}')
        phases = published.model.train_cfg.phases
        assert [phase.begin for phase in cfg.model.train_cfg.phases] == [count * phase.begin for phase in phases]
        assert [phase.get('off') for phase in cfg.model.train_cfg.phases] == [phase.get('off') for phase in phases]


@pytest.mark.parametrize('name', ['toco_vit-b_voc', 'toco_deit-b_coco', 'toco_vit-b_voc_1gpu', 'toco_vit-l_voc'])
def test_pixels_and_pairs_are_counted_in_groups_of_two_images(name):
    cfg = load(name)
    for loss in (cfg.model.loss_ptc, cfg.model.decode_head.loss_decode):
        assert MODELS.build(loss).group_size == 2


def test_the_sample_config_counts_over_all_processes():
    cfg = load('toco_vit-micro_sample')
    for loss in (cfg.model.loss_ptc, cfg.model.decode_head.loss_decode):
        built = MODELS.build(loss)
        assert (built.group_size, built.across_processes) == (None, True)
