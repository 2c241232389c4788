"""What WeakTr's configs say about schedules, thresholds and tests."""

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper

from mmwsss.datasets import COCO2014SlotDataset
from mmwsss.datasets.config import override_data
from mmwsss.engine.schedulers import lagged_cosine
from mmwsss.registry import DATASETS, MODELS

from .helpers import REPO, write_voc_folder

EPOCHS = (0, 1, 2, 5, 6, 7, 30, 59)


def load(name: str) -> Config:
    return Config.fromfile(REPO / f'configs/weaktr/{name}.py', format_python_code=False)


@pytest.mark.parametrize(('name', 'rates'), [
    ('weaktr_deit-s_voc', (1e-6, 1e-6, 1.08e-5, 4.02e-5, 4.9319e-5, 4.9021e-5, 3.1047e-5, 1.0110e-5)),
    ('weaktr-v3_deit-s_voc', (1e-6, 1e-6, 1.58e-5, 6.02e-5, 7.3893e-5, 7.3409e-5, 4.4201e-5, 1.0178e-5)),
    ('weaktr-v3_deit-s_coco', (1e-6, 1e-6, 5.8e-6, 2.02e-5, 2.4744e-5, 2.4633e-5, 1.7893e-5, 1.0041e-5))])
def test_rates_of_the_first_stage(name, rates):
    cfg = load(name)
    schedule = {key: value for key, value in cfg.param_scheduler[0].items() if key not in ('type', 'by_epoch')}
    for epoch, rate in zip(EPOCHS, rates):
        found = lagged_cosine(epoch, cfg.optim_wrapper.optimizer.lr, cfg.train_cfg.max_epochs, **schedule)
        assert found == pytest.approx(rate, rel=6e-5), epoch
    assert cfg.randomness.seed == 504
    assert cfg.train_dataloader.batch_size == 64


def tiny(cfg: Config) -> torch.nn.Module:
    """Build the config's model on a small backbone."""
    cfg.model.backbone.update(arch=dict(embed_dims=24, num_layers=1, num_heads=2, feedforward_channels=24),
                              init_cfg=None, img_size=32)
    part = cfg.model.get('cam_head') or cfg.model.decode_head
    part.update(in_channels=24, num_heads=2)
    part.update(dict(num_layers=1, reduction=1) if 'cam_head' in cfg.model else dict(channels=24, embed_dims=24))
    return MODELS.build(cfg.model)


@pytest.mark.parametrize(('name', 'weights', 'others'), [
    ('weaktr_deit-s_voc', .05, 0.), ('weaktr_deit-s_coco', .05, 0.), ('weaktr-v3_deit-s_voc', .03, .03),
    ('weaktr-v3_deit-s_coco', .03, .03)])
def test_weight_decay_of_the_versions(name, weights, others):
    cfg = load(name)
    model = tiny(cfg)
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    decay = {id(param): group['weight_decay'] for group in groups for param in group['params']}
    for key, param in model.named_parameters():
        if param.requires_grad:
            plain = param.ndim > 1 and not key.endswith(('cls_token', 'pos_embed'))
            assert decay[id(param)] == (weights if plain else others), key


@pytest.mark.parametrize(('name', 'threshold', 'scales', 'crf'), [
    ('weaktr_deit-s_voc', .42, (1., .8, 1.2), 'weaktr_label_voc'),
    ('weaktr-v3_deit-s_voc', .43, (1., 1.2), 'weaktr_label_voc'),
    ('weaktr_deit-s_coco', .42, (1., .8, 1.2), 'weaktr_label_coco'),
    ('weaktr-v3_deit-s_coco', .42, (1., .8, 1.2), 'weaktr_label_coco')])
def test_class_maps(name, threshold, scales, crf):
    cfg = load(name)
    assert cfg.model.test_cfg.threshold == cfg.val_evaluator[0].threshold == threshold
    assert tuple(cfg.model.test_cfg.cams.scales) == scales
    assert cfg.model.test_cfg.pseudo_label_crf == crf
    assert tiny(cfg).extract_cams(torch.randn(1, 3, 32, 48))['cams'].shape[1] == cfg.num_classes


@pytest.mark.parametrize('name', [f'{backbone}_{data}' for data in ('voc', 'coco')
                                  for backbone in ('deit-s', 'dinov2-s', 'vit-s', 'eva02-s')])
def test_second_stage(name):
    cfg = load(f'weaktr-retrain_{name}')
    assert cfg.model.decode_head.num_classes == cfg.num_classes + 1
    assert cfg.model.decode_head.loss_decode.get('group_size') == (1 if name.endswith('coco') else None)
    assert cfg.train_dataloader.batch_size == 4
    assert cfg.model.backbone.interpolate_mode == ('bicubic' if name.startswith('vit') else 'bilinear')
    assert cfg.model.data_preprocessor.mean[0] == {'vit': 127.5, 'eva02': 122.77}.get(name.split('-')[0], 123.68)
    crf = MODELS.build(cfg.tta_model.steps[0])
    assert crf.winners_only
    assert (crf.gaussian_sxy, crf.bilateral_sxy, crf.bilateral_srgb, crf.bilateral_compat) == (
        (3, 83, 5, 3) if name.endswith('voc') else (1, 67, 3, 4))
    sizes = [step.scale for step in cfg.tta_pipeline[1].transforms[0]]
    assert [tuple(size) for size in sizes] == [(int(4160 * r), int(520 * r)) for r in (.5, .75, 1, 1.25, 1.5, 1.75)]
    model = tiny(cfg)
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    rates = {id(param): group['lr'] for group in groups for param in group['params']}
    for key, param in model.named_parameters():
        assert rates[id(param)] == pytest.approx(1e-5 if key.startswith('backbone') else 1e-4), key
    assert all(group['nesterov'] and group['momentum'] == .9 and group['weight_decay'] == 0 for group in groups)


def test_coco_uses_slots_everywhere_and_other_data_can_take_their_place(tmp_path):
    for name in ('weaktr_deit-s_coco', 'weaktr-v3_deit-s_coco', 'weaktr-retrain_deit-s_coco'):
        cfg = load(name)
        for loader in ('train', 'val', 'test'):
            inner = cfg[f'{loader}_dataloader'].dataset.dataset
            assert DATASETS.get(inner.type) is COCO2014SlotDataset, (name, loader)
        override_data(cfg, write_voc_folder(tmp_path / name), classes=['disc', 'bar'])
        part = cfg.model.get('cam_head') or cfg.model.decode_head
        assert part.num_classes == (3 if 'retrain' in name else 2)
        assert cfg.model.backbone.get('num_class_tokens', 2) == 2
