"""The fixed weights of AReAM's first version: entropies of a whole data set."""

import re

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import save_checkpoint

from mmwsss.apis import init_model
from mmwsss.models import extract_features
from mmwsss.models.utils import layer_entropies
from tests.helpers import REPO, attention_maps, call_tool, load_tool, write_voc_folder

SMALL = f"""
_base_ = '{REPO}/configs/aream/aream-v1_deit-s_voc.py'
model = dict(
    data_preprocessor=dict(size=(32, 48)),
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


def test_numbers_that_a_config_takes(run, capsys):
    config, checkpoint, model = run
    call_tool('tools/analysis_tools/layer_entropies.py', config, checkpoint)
    found = re.search(r'counterparts=\[([\d.,]+)\]', capsys.readouterr().out).group(1)
    found = [float(value) for value in found.split(',')]
    assert sorted(found)[::2] == [0, 1]
    tool = load_tool('tools/analysis_tools/layer_entropies.py')
    cfg = Config.fromfile(config)
    mean = tool.mean_entropies(model, cfg)
    singles = []
    loader = tool.Runner.build_dataloader(tool.plain_dataset(cfg))
    for batch in loader:
        data = model.data_preprocessor(batch, False)
        image = torch.nn.functional.interpolate(data['inputs'], size=(32, 48), mode='bicubic', antialias=True)
        labels = torch.stack([sample.gt_label for sample in data['data_samples']])
        with torch.no_grad():
            maps = model.cam_head.patch_classifier(extract_features(model.backbone, image).maps[-1]).relu()
            attention = torch.stack(attention_maps(model.backbone, image), dim=1)[..., 2:, 2:].mean(dim=2)
        singles.append(layer_entropies(maps, attention, labels, reduce_classes='sum', relative=True))
    assert len(singles) == 3
    torch.testing.assert_close(mean, torch.cat(singles).mean(dim=0))
    assert found == pytest.approx(((mean - mean.min()) / (mean.max() - mean.min())).tolist(), abs=1e-3)
