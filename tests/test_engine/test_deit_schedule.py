"""configs/_base_/schedules/deit_60e.py on the model that it was published with."""

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper

from mmwsss.registry import MODELS
from tests.helpers import REPO


@pytest.fixture(scope='module')
def cfg():
    cfg = Config.fromfile(REPO / 'configs/mctformer/mctformer-v2_deit-s_voc.py')
    cfg.model.backbone.init_cfg = None
    return cfg


def test_what_decays_and_what_does_not(cfg):
    """Published: 50 tensors decay, 102 do not. The two of the final norm, which is not applied, have no gradient."""
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    names = {param: name for name, param in model.named_parameters()}
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    assert {group['lr'] for group in optimizer.param_groups} == {5e-4 * 64 / 512}
    decay = {names[param]: group['weight_decay'] for group in optimizer.param_groups for param in group['params']}
    decayed = {name for name, value in decay.items() if value == 0.05}
    free = {name for name, value in decay.items() if value == 0}
    assert (len(decayed), len(free)) == (50, 100)
    assert set(names.values()) - decayed - free == {'backbone.ln1.weight', 'backbone.ln1.bias'}
    shapes = {name: param.ndim for param, name in names.items()}
    assert {name for name in free if shapes[name] > 1} == {'backbone.cls_token', 'backbone.pos_embed'}
    assert {shapes[name] for name in decayed} == {2, 4}


def test_published_numbers(cfg):
    assert (cfg.train_dataloader.batch_size, cfg.train_dataloader.drop_last) == (64, True)
    assert cfg.train_dataloader.sampler == dict(type='EpochSampler', shuffle=True)
    assert (cfg.train_cfg.type, cfg.train_cfg.max_epochs) == ('EpochBasedTrainLoop', 60)
    assert cfg.optim_wrapper.type == 'AutoAmpOptimWrapper'
    assert cfg.optim_wrapper.get('clip_grad') is None
    assert cfg.default_hooks.checkpoint.by_epoch
    assert cfg.log_processor.by_epoch


@pytest.mark.parametrize('data', ['voc', 'coco'])
def test_mctformer_plus(data):
    """Published: 3.125e-5 for 32 images, 45 epochs, and weight decay on the position embedding."""
    cfg = Config.fromfile(REPO / f'configs/mctformer/mctformer-plus_deit-s_{data}.py')
    cfg.model.backbone.init_cfg = None
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    names = {param: name for name, param in model.named_parameters()}
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    decay = {names[param]: group['weight_decay'] for group in optimizer.param_groups for param in group['params']}
    assert {name for name in decay if decay[name] == 0 and model.get_parameter(name).ndim > 1} == {'backbone.cls_token'}
    assert decay['backbone.pos_embed'] == .05
    assert {group['lr'] for group in optimizer.param_groups} == {3.125e-5}
    assert (cfg.train_dataloader.batch_size, cfg.train_cfg.max_epochs, cfg.randomness.seed) == (32, 45, 0)
    assert cfg.train_dataloader.dataset.pipeline[1].scale == 448
    assert cfg.model.backbone.num_class_tokens == cfg.num_classes == (20 if data == 'voc' else 80)
