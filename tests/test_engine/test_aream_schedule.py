"""AReAM's schedule and its views of the training images, as its configs have them."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.optim import build_optim_wrapper

from mmwsss.engine.schedulers import lagged_cosine
from mmwsss.registry import MODELS, PARAM_SCHEDULERS, TRANSFORMS
from tests.helpers import REPO, write_voc_folder


@pytest.fixture(scope='module')
def cfg():
    cfg = Config.fromfile(REPO / 'configs/aream/aream_deit-s_voc.py')
    cfg.model.backbone.init_cfg = None
    return cfg


@pytest.mark.parametrize(('epoch', 'rate'), [
    (0, 1e-6), (1, 1e-6), (2, 7.05e-6), (3, 1.31e-5), (5, 2.52e-5), (6, 3.0609e-5), (10, 2.9221e-5), (20, 2.3195e-5),
    (30, 1.5967e-5), (44, 1.0103e-5)])
def test_rates(cfg, epoch, rate):
    schedule = dict(cfg.param_scheduler[0])
    assert (schedule.pop('type'), schedule.pop('by_epoch')) == ('LaggedCosineLR', True)
    found = lagged_cosine(epoch, cfg.optim_wrapper.optimizer.lr, cfg.train_cfg.max_epochs, **schedule)
    assert found == pytest.approx(rate, rel=6e-5)


def test_class_tokens_decay(cfg):
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    assert type(wrapper).__name__ == 'OptimWrapper', 'no mixed precision'
    names = {param: name for name, param in model.named_parameters()}
    free = {names[param] for group in wrapper.optimizer.param_groups for param in group['params']
            if group['weight_decay'] == 0}
    decayed = {name for param, name in names.items() if param.requires_grad} - free
    assert 'backbone.cls_token' in decayed
    assert {name for name in free if dict(model.named_parameters())[name].ndim > 1} == {'backbone.pos_embed'}


def test_views(cfg, tmp_path):
    """A crop of 448 from a picture of 0.5 to 2 times its size, and which part of it shows the picture."""
    root = write_voc_folder(tmp_path, num_train=1, num_val=0, size=(300, 200))
    pipeline = Compose([TRANSFORMS.build(dict(step)) for step in cfg.train_dataloader.dataset.pipeline])
    shares = set()
    for seed in range(8):
        np.random.seed(seed)
        torch.manual_seed(seed)
        packed = pipeline(dict(img_path=str(root / 'JPEGImages/img_000.jpg'), gt_label=np.array([1, 0])))
        image, box = packed['inputs'], packed['data_samples'].metainfo['valid_box']
        assert image.shape == (3, 448, 448)
        y0, y1, x0, x1 = box
        assert 100 <= x1 - x0 <= 400
        assert 150 <= y1 - y0 <= 448
        inside = torch.zeros(448, 448, dtype=torch.bool)
        inside[y0:y1, x0:x1] = True
        assert not image[:, ~inside].any()
        assert image[:, inside].float().mean() > 50
        assert packed['data_samples'].gt_label.tolist() == [1, 0]
        shares.add(box)
    assert len(shares) == 8


def test_rates_and_decay_on_conformer():
    """A linear warm-up of one epoch and a cosine, in every iteration; the heads' rate is ten times as high."""
    cfg = Config.fromfile(REPO / 'configs/aream/aream_conformer-s_voc.py')
    cfg.model.backbone.update(init_cfg=None, arch=dict(embed_dims=32, depths=3, num_heads=2, channel_ratio=.25))
    model = MODELS.build(cfg.model)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    names = {param: name for name, param in model.named_parameters()}
    for group in optimizer.param_groups:
        for param in group['params']:
            name = names[param]
            assert group['lr'] == pytest.approx(5e-4 if name.startswith('cam_head') else 5e-5), name
            assert group['weight_decay'] == (.01 if param.ndim > 1 and not name.endswith('cls_token') else 0), name
    length = 5
    schedules = []
    for config in cfg.param_scheduler:
        config = dict(config)
        config.pop('convert_to_iter_based')
        schedules.append(PARAM_SCHEDULERS.get(config.pop('type')).build_iter_from_epoch(
            optimizer=optimizer, epoch_length=length, **config))
    found = []
    for _ in range(12 * length):
        found.append([group['lr'] for group in optimizer.param_groups])
        optimizer.zero_grad()
        for schedule in schedules:
            schedule.step()
    cosine = [1e-6 + .5 * (5e-5 - 1e-6) * (1 + np.cos(np.pi * step / (11 * length))) for step in range(11 * length)]
    expected = np.concatenate([np.linspace(1e-6, 5e-5, length), cosine])
    for rates, rate in zip(found, expected):
        assert min(rates) == pytest.approx(rate, rel=1e-6)
        assert max(rates) == pytest.approx(10 * rate, rel=1e-6)
