"""Parts of mmwsss inside the stock configs of mmseg, which are named as ``mmseg::...``; every case trains and tests."""

import json
import shutil

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.registry import MODELS

from mmwsss.datasets import labels_from_masks

from .helpers import CLASSES, tiny_runner_cfg, write_voc_folder

BACKBONES = {
    'vit': (dict(type='mmwsss.AttentionViT', img_size=32, patch_size=8,
                 arch=dict(embed_dims=16, num_layers=3, num_heads=2, feedforward_channels=16)), 16),
    'wide-resnet': (dict(type='mmwsss.WideResNet38', base_channels=2), 128),
    'caffe-resnet': (dict(type='mmwsss.CeilPoolResNet', depth=18, base_channels=4, stem_channels=4), 32),
}
SMALL_MIT = dict(embed_dims=8, num_heads=[1, 1, 1, 1], num_layers=[1, 1, 1, 1])
NORM = dict(type='BN')


def fcn(backbone):
    config, width = BACKBONES[backbone]
    head = dict(in_channels=width, in_index=-1, channels=8, norm_cfg=NORM,
                loss_decode=[dict(type='mmwsss.BalancedCrossEntropyLoss')])
    return 'fcn_r50-d8', dict(backbone=dict(config, _delete_=True), decode_head=head, auxiliary_head=None)


def deeplab():
    config, width = BACKBONES['caffe-resnet']
    losses = [dict(type='mmwsss.GradientClippedCrossEntropyLoss', patch_size=8),
              dict(type='CrossEntropyLoss', loss_weight=0.5)]
    head = dict(in_channels=width, c1_in_channels=4, c1_channels=4, channels=8, norm_cfg=NORM, loss_decode=losses)
    side = dict(in_channels=16, channels=4, norm_cfg=NORM, loss_decode=[dict(type='mmwsss.BalancedCrossEntropyLoss')])
    return 'deeplabv3plus_r50-d8', dict(backbone=dict(config, _delete_=True), decode_head=head, auxiliary_head=side)


def segformer():
    head = dict(in_channels=[8, 8, 8, 8], channels=8, norm_cfg=NORM,
                loss_decode=[dict(type='mmwsss.BalancedCrossEntropyLoss'), dict(type='DiceLoss')])
    return 'segformer_mit-b0', dict(backbone=SMALL_MIT, decode_head=head)


CASES = {**{f'fcn with {name}': (fcn, name) for name in BACKBONES}, 'deeplabv3plus': (deeplab, ),
         'segformer': (segformer, )}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Write a data set with image labels, and pseudo labels of four of its images."""
    root = write_voc_folder(tmp_path_factory.mktemp('mixing') / 'data')
    labels_from_masks(root / 'SegmentationClass', CLASSES).save(root / 'image_labels.json')
    (root / 'pseudo').mkdir()
    for name in (root / 'ImageSets/Segmentation/train.txt').read_text().split()[:4]:
        shutil.copyfile(root / f'SegmentationClass/{name}.png', root / f'pseudo/{name}.png')
    return root


def stock_config(stock, changes, data, folder):
    """Write a config that inherits from one of mmseg, and trains it on pseudo labels."""
    run = tiny_runner_cfg(data, folder / 'work', 'mmseg')
    del run['model']
    train_set = run['train_dataloader']['dataset']
    pipeline = train_set.pop('pipeline')
    run['train_dataloader']['dataset'] = dict(
        type='mmwsss.PseudoLabelDataset', pseudo_label_dir=str(data / 'pseudo'), missing='skip', pipeline=pipeline,
        dataset=train_set)
    changes['decode_head'].update(num_classes=len(CLASSES) + 1)
    if changes.get('auxiliary_head'):
        changes['auxiliary_head'].update(num_classes=len(CLASSES) + 1)
    path = folder / 'config.py'
    path.write_text('\n'.join([
        f"_base_ = 'mmseg::_base_/models/{stock}.py'", "custom_imports = dict(imports=['mmwsss'])",
        f'model = dict(pretrained=None, data_preprocessor=dict(size=(32, 32)), **{changes!r})',
        *(f'{key} = {value!r}' for key, value in run.items())]))
    cfg = Config.fromfile(path, format_python_code=False)
    cfg.experiment_name = folder.name
    return cfg


@pytest.mark.parametrize('case', CASES)
def test_backbones_and_losses_in_stock_models(case, data, tmp_path):
    init_default_scope('mmseg')
    make, *args = CASES[case]
    runner = Runner.from_cfg(stock_config(*make(*args), data, tmp_path))
    runner.train()
    assert len(runner.train_dataloader.dataset) == 4
    assert np.isfinite(runner.message_hub.get_scalar('train/loss').current())
    losses = {name for name in runner.message_hub.log_scalars if name.startswith('train/') and 'loss' in name}
    assert any('balanced_ce' in name or 'clipped_ce' in name for name in losses), losses


def test_label_hook_and_label_steps_in_a_stock_model(data, tmp_path):
    init_default_scope('mmseg')
    cfg = stock_config(*segformer(), data, tmp_path)
    inner = dict(cfg.train_dataloader.dataset.dataset)
    inner['data_prefix'] = dict(img_path='JPEGImages')
    cfg.custom_hooks = [dict(
        type='mmwsss.PseudoLabelHook', out_dir='labels', threshold=0.4, post='par',
        dataset=dict(type='mmwsss.ImageLabelDataset', label_file='image_labels.json', dataset=inner))]
    Runner.from_cfg(cfg).train()
    assert len(list((tmp_path / 'work/labels').glob('*.png'))) == 6
    assert json.loads((tmp_path / 'work/labels/pseudo_labels.json').read_text())


def test_refinement_of_a_stock_model_at_test_time(data, tmp_path):
    pytest.importorskip('pydensecrf')
    init_default_scope('mmseg')
    cfg = stock_config(*segformer(), data, tmp_path)
    cfg.model = dict(type='mmwsss.MultiScaleTTA', module=cfg.model, scales=(1.0, 2.0), steps=[
        dict(type='PixelAdaptiveRefinement', dilations=(1, 2), num_iters=2), dict(type='DenseCRF', preset='toco_seg')])
    assert 0 <= Runner.from_cfg(cfg).test()['seg/mIoU'] <= 100


@pytest.mark.parametrize(('backbone', 'width'), [
    (dict(type='MixVisionTransformer', **SMALL_MIT), 8),
    (dict(type='ResNetV1c', depth=18, base_channels=4, stem_channels=4), 32),
    (dict(type='mmpretrain.ResNet', depth=18, base_channels=4, stem_channels=4), 32),
])
def test_cam_heads_on_backbones_of_mmseg_and_mmpretrain(backbone, width):
    init_default_scope('mmseg')
    model = MODELS.build(dict(
        type='mmwsss.CAMClassifier', backbone=backbone, test_cfg=dict(threshold=0.4),
        cam_head=dict(type='mmwsss.CAMHead', num_classes=3, in_channels=width),
        loss_cls=dict(type='mmwsss.MultiLabelSoftMarginLoss'))).eval()
    found = model.predict_cams(torch.randn(2, 3, 64, 64))
    assert found['cams'].shape == (2, 3, 64, 64)
    assert found['logits'].shape == (2, 3)


def test_a_cam_head_that_observes_attention_in_a_config_of_mmseg():
    init_default_scope('mmseg')
    backbone = dict(BACKBONES['vit'][0], num_class_tokens=3, raw_output=True)
    model = MODELS.build(dict(
        _scope_='mmwsss', type='CAMClassifier', backbone=backbone, test_cfg=dict(threshold=0.4),
        cam_head=dict(type='MCTformerHead', num_classes=3, in_channels=16))).eval()
    assert model.predict_cams(torch.randn(1, 3, 32, 32))['cams'].shape == (1, 3, 32, 32)
