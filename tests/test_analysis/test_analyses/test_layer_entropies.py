"""The fixed weights of AReAM's first version: entropies of a whole data set."""

import json
import re

import numpy as np
import pytest
import torch
from mmengine.runner import save_checkpoint
from PIL import Image

from mmwsss.apis import init_model
from mmwsss.models import extract_features
from mmwsss.models.utils import layer_entropies
from tests.helpers import REPO, attention_maps, call_tool, write_voc_folder

SMALL = f"""
_base_ = '{REPO}/configs/aream/aream-v1_deit-s_voc.py'
model = dict(
    data_preprocessor=dict(size=(32, 48)),  # Images have 40 x 56 pixels.
    backbone=dict(arch=dict(embed_dims=16, num_layers=3, num_heads=2, feedforward_channels=16, _delete_=True),
                  img_size=32, num_class_tokens=2, init_cfg=None),
    cam_head=dict(num_classes=2, in_channels=16, num_layers=3, attention_layers=3))
train_dataloader = dict(dataset=dict(
    labels_from_masks=True,
    dataset=dict(type='PhotoDataset', classes='classes.txt', data_root='ROOT',
                 data_prefix=dict(seg_map_path='SegmentationClass'), ann_file='ImageSets/Segmentation/train.txt')))
"""


@pytest.fixture
def run(tmp_path):
    data = write_voc_folder(tmp_path / 'voc', num_train=3, num_val=1)
    config = tmp_path / 'small.py'
    config.write_text(SMALL.replace('ROOT', str(data)))
    model = init_model(str(config))
    torch.manual_seed(0)
    for param in model.parameters():
        torch.nn.init.normal_(param, std=.5)
    save_checkpoint(dict(state_dict=model.state_dict()), str(tmp_path / 'some.pth'))
    return config, tmp_path / 'some.pth', model


def test_numbers_that_a_config_takes(run, tmp_path, capsys):
    config, checkpoint, model = run
    call_tool('tools/analyze.py', 'layer-entropies', config, checkpoint, '--out', tmp_path / 'out', '--split', 'train')
    found = re.search(r'counterparts=\[([\d.,]+)\]', capsys.readouterr().out).group(1)
    found = [float(value) for value in found.split(',')]
    assert sorted(found)[::2] == [0, 1]
    data = json.loads((tmp_path / 'out/layer-entropies.json').read_text())['runs'][0]['data']
    mean = torch.tensor(data['relative_entropies'])
    singles = []
    photos = sorted((config.parent / 'voc/JPEGImages').glob('*.jpg'))[:3]
    for index, photo in enumerate(photos):
        image = np.asarray(Image.open(photo).resize((48, 32), Image.BICUBIC), np.float32)
        image = torch.from_numpy((image - [123.675, 116.28, 103.53]) / [58.395, 57.12, 57.375]).float()
        image = image.permute(2, 0, 1)[None]
        labels = torch.tensor([[[1., 0], [0, 1], [1, 1]][index]])
        with torch.no_grad():
            maps = model.cam_head.patch_classifier(extract_features(model.backbone, image).maps[-1]).relu()
            attention = torch.stack(attention_maps(model.backbone, image), dim=1)[..., 2:, 2:].mean(dim=2)
        singles.append(layer_entropies(maps, attention, labels, reduce_classes='sum', relative=True))
    torch.testing.assert_close(mean, torch.cat(singles).mean(dim=0), rtol=1e-4, atol=1e-7)
    assert found == pytest.approx(((mean - mean.min()) / (mean.max() - mean.min())).tolist(), abs=1e-3)
