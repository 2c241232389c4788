"""Costs of models, and panels of maps and segmentations."""

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmwsss.analysis.analyses.costs import multiply_adds
from mmwsss.datasets.map_files import write_label_map
from mmwsss.registry import MODELS
from mmwsss.utils.errors import UserError
from tests.color_cam import color_cam_config
from tests.helpers import call_tool, tiny_runner_cfg, write_config, write_voc_folder

LAYERS = 3


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """A folder with data, a small MCTformer-V2 and a small segmentor, with checkpoints."""
    root = tmp_path_factory.mktemp('costs')
    cfg = color_cam_config(write_voc_folder(root / 'data'))
    arch = dict(embed_dims=16, num_layers=LAYERS, num_heads=2, feedforward_channels=16)
    cfg['model'] = dict(
        type='CAMClassifier', data_preprocessor=cfg['model']['data_preprocessor'],
        backbone=dict(type='AttentionViT', arch=arch, img_size=32, patch_size=8, num_class_tokens=2, raw_output=True),
        cam_head=dict(type='MCTformerHead', num_classes=2, in_channels=16, attention_layers=2),
        test_cfg=dict(threshold=.3, cams=dict(flip=False, normalize='minmax')))
    write_config(cfg, root / 'mct.py')
    segmentor = tiny_runner_cfg(root / 'data', root / 'work')
    write_config(segmentor, root / 'seg.py')
    init_default_scope('mmwsss')
    for name in ('mct', 'seg'):
        model = MODELS.build(Config.fromfile(root / f'{name}.py').model)
        torch.save(dict(state_dict=model.state_dict(), meta={}), root / f'{name}.pth')
    return root


def analyze(root, name, model, *args):
    call_tool('tools/analyze.py', name, root / f'{model}.py', root / f'{model}.pth', *args, '--out', root / 'out')
    assert (root / f'out/{name}.png').stat().st_size
    return json.loads((root / f'out/{name}.json').read_text())['runs'][0]['data']


def test_multiply_adds_of_a_convolution():
    convolution = torch.nn.Conv2d(3, 4, 3, padding=1, bias=False)
    assert multiply_adds(convolution, torch.zeros(1, 3, 8, 8)) == 8 * 8 * 4 * 3 * 9


@pytest.mark.parametrize(('name', 'options'), [('mct', []), ('mct', ['task=cams']), ('seg', [])])
def test_costs(root, name, options):
    data = analyze(root, 'costs', name, '--options', 'images=2', *options, '--size', 64)
    model = MODELS.build(Config.fromfile(root / f'{name}.py').model)
    assert data['params'] == sum(weight.numel() for weight in model.parameters())
    assert data['input'] == [64, 64]
    assert data['macs'] > 0
    assert data['memory_mib'] > 0
    assert len(data['seconds']) == 2
    assert f'| {name} | 64 x 64 |' in (root / 'out/costs.md').read_text()


def test_random_weights_need_no_file(root):
    cfg = Config.fromfile(root / 'mct.py')
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint='nowhere.pth')
    write_config(cfg.to_dict(), root / 'nowhere.py')
    call_tool('tools/analyze.py', 'costs', root / 'nowhere.py', 'random', '--out', root / 'out', '--options',
              'images=1')
    assert json.loads((root / 'out/costs.json').read_text())['runs'][0]['sha256'] is None


def test_a_segmentor_gives_no_maps(root):
    with pytest.raises(UserError, match='EncoderDecoder gives no class activation maps: use task=forward'):
        analyze(root, 'costs', 'seg', '--options', 'task=cams')


def test_panels_of_maps(root):
    maps = 'cams,unrefined,layer_2,mean,TransCAM'
    data = analyze(root, 'cam-panels', 'mct', root / 'mct.py', 'start', '--labels', 'trained,start', '--options',
                   f'maps={maps}', 'show=2')
    assert len(data['images']) == 2
    for image in data['images']:
        for row in image['rows']:
            assert row['name'] in ('disc', 'bar')
            assert [panel['title'] for panel in row['panels']] == [*maps.split(','), 'ground truth']
            values = np.array(row['panels'][0]['map'])
            assert 0 <= values.min() <= values.max() <= 1
            np.testing.assert_allclose(row['panels'][3]['map'], row['panels'][4]['map'], atol=.02)


def test_panels_of_all_layers_of_one_class(root):
    data = analyze(root, 'cam-panels', 'mct', '--options', 'maps=layers', 'classes=disc', 'show=3')
    rows = [row for image in data['images'] for row in image['rows']]
    assert {row['name'] for row in rows} == {'disc'}
    assert [panel['title'] for panel in rows[0]['panels']] == ['unrefined', 'layer_1', 'layer_2', 'layer_3', 'mean',
                                                              'ground truth']


def test_panels_of_saved_maps(root):
    for image_id in json.loads((root / 'out/cam-panels.json').read_text())['runs'][0]['images']:
        np.save(root / f'{image_id}.npy', np.zeros((2, 8, 8), np.float32))
    data = analyze(root, 'cam-panels', 'mct', '--options', f"folders={{'other': '{root}'}}", 'show=3')
    assert data['images'][0]['rows'][0]['panels'][1]['title'] == 'other'
    with pytest.raises(FileNotFoundError, match='nowhere/img_'):
        analyze(root, 'cam-panels', 'mct', '--options', "folders={'other': 'nowhere'}")
    with pytest.raises(UserError, match='the model has none of the maps heat; its maps are'):
        analyze(root, 'cam-panels', 'mct', '--options', 'maps=heat')


def test_panels_of_segmentations(root):
    data = analyze(root, 'segmentation-panels', 'seg', '--options', 'show=1')
    image, = data['images']
    assert [panel['title'] for panel in image['rows'][0]['panels']] == ['prediction', 'ground truth']
    write_label_map(np.zeros((40, 56), np.uint8), root / f'labels/{image["id"]}.png')
    data = analyze(root, 'segmentation-panels', 'mct', '--options', f"folders={{'other': '{root}/labels'}}", 'show=1')
    panels = data['images'][0]['rows'][0]['panels']
    titles = [panel['title'] for panel in panels]
    assert panels[0] != panels[1], 'maps of random weights exceed the threshold somewhere'
    assert titles == ['prediction', 'other', 'ground truth']
