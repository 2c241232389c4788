"""tools/analysis_tools/cam_table.py: all maps of models in one table."""

import argparse
import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmwsss.apis import checkpoint_hash
from mmwsss.evaluation import EvaluationResult
from mmwsss.registry import MODELS

from ..color_cam import color_cam_config
from ..helpers import call_tool, load_tool, tiny_segmentor, write_config, write_voc_folder

SCRIPT = 'tools/analysis_tools/cam_table.py'
MAPS = ['attention', 'patch_cams', 'fused_cams', 'refined_attention', 'refined_patch_cams', 'refined_fused_cams']


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Give a folder with data, a small MCTformer-V2 and a checkpoint of it."""
    root = tmp_path_factory.mktemp('cam_table')
    cfg = color_cam_config(write_voc_folder(root / 'data'))
    arch = dict(embed_dims=16, num_layers=3, num_heads=2, feedforward_channels=16)
    cfg['model'] = dict(
        type='CAMClassifier',
        data_preprocessor=cfg['model']['data_preprocessor'],
        backbone=dict(type='AttentionViT', arch=arch, img_size=32, patch_size=8, num_class_tokens=2, raw_output=True),
        cam_head=dict(type='MCTformerHead', num_classes=2, in_channels=16, attention_layers=2),
        test_cfg=dict(threshold=.3, cams=dict(flip=True, flip_fusion='sum', normalize='minmax')))
    cfg.update(default_hooks=dict(visualization=dict(type='SegVisualizationHook')), log_level='WARNING')
    write_config(cfg, root / 'mct.py')
    init_default_scope('mmwsss')
    torch.manual_seed(0)
    model = MODELS.build(Config(cfg).model)
    model.init_weights()
    torch.save(dict(state_dict=model.state_dict(), meta={}), root / 'mct.pth')
    return root


def table(root, *args):
    call_tool(SCRIPT, root / 'mct.py', root / 'mct.pth', *args, '--work-dir', root / 'work', '--out', root / 'table')
    return json.loads((root / 'table.json').read_text())['rows'], (root / 'table.md').read_text()


def test_every_map_of_a_model(root, capsys):
    rows, text = table(root, '--plot', root / 'curves.png')
    assert [row['map'] for row in rows] == MAPS
    assert [row['map'] for row in rows if row['result']] == ['refined_fused_cams']
    for row in rows:
        assert row['sha256'] == checkpoint_hash(root / 'mct.pth')
        assert (row['split'], row['num_images'], row['threshold'], row['label']) == ('val', 3, .3, 'mct')
        assert row['mIoU'] + row['FP'] + row['FN'] == pytest.approx(100)
        curve = row['curve']
        assert row['mIoU'] == curve['mIoU'][curve['thresholds'].index(.3)]
        assert row['oracle_mIoU'] == max(curve['mIoU'])
        assert row['oracle_precision'] == curve['mPrecision'][curve['thresholds'].index(row['oracle_threshold'])]
    lines = [line.split(' | ') for line in text.splitlines() if line.startswith('| mct')]
    assert [line[1].split()[0] for line in lines] == MAPS
    assert [line[2] for line in lines] == [f'{row["mIoU"]:.2f}' for row in rows]
    assert all(words in text for words in ('mIoU at 0.3', '3 images of val', 'which the masks chose'))
    assert 'refined_patch_cams' in capsys.readouterr().out
    assert (root / 'curves.png').stat().st_size


def test_several_models_chosen_maps_and_a_threshold_of_ones_own(root):
    rows, text = table(root, root / 'mct.py', root / 'mct.pth', '--labels', 'one,two', '--maps', 'cams,patch_cams',
                       '--threshold', '.45', '--split', 'train')
    assert [(row['label'], row['map']) for row in rows] == [
        (label, name) for label in ('one', 'two') for name in ('cams', 'patch_cams')]
    assert rows[0]['curve'] == rows[2]['curve']
    assert {(row['split'], row['num_images'], row['threshold']) for row in rows} == {('train', 6, .45)}
    assert 'mIoU at 0.45' in text


def test_a_list_of_ones_own(root):
    (root / 'two.txt').write_text('img_001\nimg_004\n')
    rows, _ = table(root, '--maps', 'cams', '--split', root / 'two.txt')
    assert (rows[0]['split'], rows[0]['num_images']) == ('two', 2)
    with pytest.raises(FileNotFoundError, match='there is no file trian'):
        table(root, '--maps', 'cams', '--split', 'trian')


def test_published_sweep(root):
    """The best threshold is one of 0, 0.01, ..., 0.59; the fixed one need not be."""
    rows, _ = table(root, '--maps', 'attention', '--published-sweep', '--threshold', '.75')
    assert rows[0]['curve']['thresholds'] == [*(k / 100 for k in range(60)), .75]
    assert rows[0]['threshold'] == .75
    assert rows[0]['oracle_threshold'] <= .59
    assert rows[0]['oracle_mIoU'] == pytest.approx(max(rows[0]['curve']['mIoU'][:60]))


def test_a_setting_is_swept(root):
    rows, text = table(root, '--maps', 'attention', '--sweep', 'model.cam_head.attention_layers=1,3', '--plot',
                       root / 'layers.pdf')
    assert [row['setting'] for row in rows] == [{'model.cam_head.attention_layers': k} for k in (1, 3)]
    assert not np.array_equal(rows[0]['curve']['mIoU'], rows[1]['curve']['mIoU'])
    assert 'mct attention_layers=3' in text
    assert (root / 'layers.pdf').stat().st_size


@pytest.mark.parametrize(('args', 'words'), [
    (('other.py', ), 'other.py has no checkpoint: give CONFIG CHECKPOINT pairs'),
    (('other.py', 'other.pth'), 'no checkpoint other.pth'),
    (('--labels', 'one,two'), '--labels names 2 models, there are 1'),
    (('--maps', 'cams,heat'), r"--maps has \['heat'\], the model gives cams, attention")])
def test_mistakes_on_the_command_line(root, args, words):
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        table(root, *args)


@pytest.fixture(scope='module')
def tool():
    return load_tool(SCRIPT)


@pytest.mark.parametrize(('text', 'values'), [
    ('k=1,2.5', [1, 2.5]), ('k=mct,fused', ['mct', 'fused']), ('k=[],[0],[0,-1]', [[], [0], [0, -1]])])
def test_values_of_a_sweep(tool, text, values):
    assert tool.parse_sweep(text) == ('k', values)
    with pytest.raises(argparse.ArgumentTypeError, match='expected KEY=V1,V2'):
        tool.parse_sweep('k=')


@pytest.mark.parametrize(('config', 'listed', 'expected'), [
    ('mctformer/mctformer-v2_deit-s_voc', 'ImageSets/Segmentation/train.txt',
     ('ImageSets/Segmentation/train.txt', 'JPEGImages', 'SegmentationClass')),
    ('mctformer/mctformer-v2_deit-s_voc', None,
     ('ImageSets/Segmentation/trainaug.txt', 'JPEGImages', 'SegmentationClass')),
    ('mctformer/mctformer-v2_deit-s_coco', 'ImageSets/train.txt',
     ('ImageSets/train.txt', 'train2014', 'SegmentationClass/train2014'))])
def test_training_images_have_their_own_lists_and_folders(tool, tmp_path, config, listed, expected):
    cfg = Config.fromfile(f'configs/{config}.py')
    leaf = cfg.test_dataloader.dataset.dataset
    leaf.data_root = str(tmp_path)
    if listed:
        (tmp_path / listed).parent.mkdir(parents=True)
        (tmp_path / listed).write_text('')
    tool.choose_split(cfg, 'train')
    assert (leaf.ann_file, *(leaf.data_prefix[key] for key in ('img_path', 'seg_map_path'))) == expected


def test_model_without_maps(tool):
    with pytest.raises(ValueError, match='EncoderDecoder of the config gives no CAMs'):
        tool.map_names(Config(dict(model=tiny_segmentor())), None)


def test_no_test_data(tool):
    with pytest.raises(ValueError, match='no test_dataloader with masks'):
        tool.choose_split(Config(dict(test_dataloader=None)), 'val')


def test_a_mean_that_is_undefined_is_null(tool):
    masks_of_background = np.array([9, 0])
    result = EvaluationResult(np.array([[9, 0]] * 2), np.array([[9, 0]] * 2), masks_of_background, ['background', 'a'],
                              np.array([.1, .2]))
    row = {**tool.row_of(result, .2), 'label': 'a', 'map': 'm', 'setting': {}, 'num_images': 1, 'split': 'val'}
    assert (row['mIoU'], row['oracle_mIoU'], row['curve']['FP'], row['threshold']) == (None, None, [None, None], .2)
    assert tool.cells(row)[2] == '-'
    assert 'no pixel of a foreground class' in tool.describe([row, row])
