"""Classifiers of mmpretrain give class activation maps without a line of code: ``mmpretrain+`` before their path."""

import numpy as np
import pytest
import torch
from mmpretrain.registry import MODELS as MMPRETRAIN_MODELS
from PIL import Image

from mmwsss.apis import inference_cams, init_model
from mmwsss.datasets.map_files import read_label_map

from ..helpers import call_tool

CLASSES = ('cat', 'dog', 'sofa')
SWIN = dict(embed_dims=24, depths=[1, 1, 1, 1], num_heads=[1, 2, 3, 4])
CASES = {
    'resnet50': (dict(type='ResNet', depth=18), 512, {'model.backbone.depth': 18, 'model.cam_head.in_channels': 512}),
    'swin-t': (dict(type='SwinTransformer', arch=SWIN, pad_small_map=True), 192,
               {'model.backbone.arch': dict(SWIN, _delete_=True), 'model.cam_head.in_channels': 192}),
}


def save_classifier(path, backbone, width, **extra):
    """Save a classifier of mmpretrain with random weights, and return it in eval mode."""
    torch.manual_seed(0)
    model = MMPRETRAIN_MODELS.build(dict(
        type='ImageClassifier', _scope_='mmpretrain', backbone=backbone, neck=dict(type='GlobalAveragePooling'),
        head=dict(type='MultiLabelLinearClsHead', num_classes=len(CLASSES), in_channels=width)))
    torch.nn.init.normal_(model.head.fc.weight)
    torch.nn.init.normal_(model.head.fc.bias)
    torch.save(dict(state_dict={**model.state_dict(), **extra}, meta=dict(dataset_meta=dict(classes=CLASSES))), path)
    return model.eval()


@pytest.mark.parametrize('name', CASES)
def test_scores_and_maps_are_those_of_the_classifier(name, tmp_path):
    backbone, width, options = CASES[name]
    theirs = save_classifier(tmp_path / 'epoch_1.pth', backbone, width)
    ours = init_model(f'configs/cam/cam_mmpretrain-{name}_photos.py', f'mmpretrain+{tmp_path}/epoch_1.pth',
                      cfg_options={'model.cam_head.num_classes': 3, **options})
    assert ours.dataset_meta['classes'] == ('background', *CLASSES)
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        features = theirs.backbone(images)[-1]
        found = ours.extract_cams(images)
        torch.testing.assert_close(found['logits'], theirs.head((features.mean(dim=(2, 3)), )))
        expected = torch.einsum('bdhw,cd->bchw', features, theirs.head.fc.weight)
        torch.testing.assert_close(found['cams'], expected, rtol=1e-5, atol=1e-4)
    cams = inference_cams(ours, np.zeros((60, 80, 3), np.uint8), image_labels=['dog'])
    assert cams.shape == (3, 60, 80)


def test_pseudo_labels_from_the_command_line(tmp_path):
    backbone, width, options = CASES['resnet50']
    save_classifier(tmp_path / 'epoch_1.pth', backbone, width)
    (tmp_path / 'photos/images').mkdir(parents=True)
    Image.new('RGB', (80, 60), (200, 60, 30)).save(tmp_path / 'photos/images/a.jpg')
    (tmp_path / 'labels.json').write_text('{"classes": ["cat", "dog", "sofa"], "labels": {"a": ["dog"]}}')
    call_tool('tools/make_pseudo_labels.py', 'configs/cam/cam_mmpretrain-resnet50_photos.py',
              f'mmpretrain+{tmp_path}/epoch_1.pth', '--data-root', tmp_path / 'photos', '--classes', ','.join(CLASSES),
              '--label-file', tmp_path / 'labels.json', '--out-dir', tmp_path / 'out', '--workers', 1,
              '--cfg-options', *(f'{key}={value}' for key, value in options.items()))
    assert set(np.unique(read_label_map(tmp_path / 'out/a.png'))) <= {0, 2}


@pytest.mark.parametrize('extra', [{'neck.conv.weight': torch.zeros(1)}, {'head.fc2.weight': torch.zeros(1)}])
def test_other_classifiers_are_refused(extra, tmp_path):
    save_classifier(tmp_path / 'epoch_1.pth', *CASES['resnet50'][:2], **extra)
    with pytest.raises(ValueError, match='epoch_1.pth is not a backbone with one linear layer .*' + next(iter(extra))):
        init_model('configs/cam/cam_mmpretrain-resnet50_photos.py', f'mmpretrain+{tmp_path}/epoch_1.pth')
