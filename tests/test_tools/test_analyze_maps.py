"""tools/analyze.py on maps: cam-table and the analyses of layers, thresholds and couplings."""

import argparse
import json
import math

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmwsss.analysis import Sample, build_analysis
from mmwsss.analysis.analyses.map_quality import rates_of
from mmwsss.apis import checkpoint_hash
from mmwsss.evaluation import EvaluationResult
from mmwsss.registry import MODELS
from mmwsss.utils.errors import UserError

from ..color_cam import color_cam_config
from ..helpers import REPO, call_tool, load_tool, run_tool, tiny_segmentor, write_config, write_voc_folder

SCRIPT = 'tools/analyze.py'
LAYERS = 3
MAPS = ['attention', 'patch_cams', 'fused_cams', 'refined_attention', 'refined_patch_cams', 'refined_fused_cams']


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Give a folder with data, a small MCTformer-V2 and a checkpoint of it."""
    root = tmp_path_factory.mktemp('analyze_maps')
    cfg = color_cam_config(write_voc_folder(root / 'data'))
    arch = dict(embed_dims=16, num_layers=LAYERS, num_heads=2, feedforward_channels=16)
    cfg['model'] = dict(
        type='CAMClassifier',
        data_preprocessor=cfg['model']['data_preprocessor'],
        backbone=dict(type='AttentionViT', arch=arch, img_size=32, patch_size=8, num_class_tokens=2, raw_output=True),
        cam_head=dict(type='MCTformerHead', num_classes=2, in_channels=16, attention_layers=2, fusion='mean'),
        test_cfg=dict(threshold=.3, cams=dict(flip=True, flip_fusion='sum', normalize='minmax')))
    cfg.update(default_hooks=dict(visualization=dict(type='SegVisualizationHook')), log_level='WARNING')
    write_config(cfg, root / 'mct.py')
    init_default_scope('mmwsss')
    torch.manual_seed(0)
    model = MODELS.build(Config(cfg).model)
    model.init_weights()
    torch.save(dict(state_dict=model.state_dict(), meta={}), root / 'mct.pth')
    return root


def analyze(root, name, *args):
    call_tool(SCRIPT, name, root / 'mct.py', root / 'mct.pth', *args, '--out', root / 'out')
    assert (root / f'out/{name}.png').stat().st_size
    return json.loads((root / f'out/{name}.json').read_text())


def table(root, *args):
    record = analyze(root, 'cam-table', *args)
    rows = [dict(row, label=run['label'], setting=run['setting'])
            for run in record['runs'] for row in run['data']['rows']]
    return record, rows, (root / 'out/cam-table.md').read_text()


def test_every_map_of_a_model(root, capsys):
    record, rows, text = table(root)
    run, = record['runs']
    assert run['sha256'] == checkpoint_hash(root / 'mct.pth')
    assert (record['split'], run['num_images'], run['label']) == ('val', 3, 'mct')
    assert [row['map'] for row in rows] == MAPS
    assert [row['map'] for row in rows if row['result']] == ['refined_fused_cams']
    for row in rows:
        assert row['threshold'] == .3
        assert row['mIoU'] + row['FP'] + row['FN'] == pytest.approx(100)
        curve = row['curve']
        assert row['mIoU'] == curve['mIoU'][curve['thresholds'].index(.3)]
        assert row['oracle_mIoU'] == max(curve['mIoU'])
        assert row['oracle_precision'] == curve['mPrecision'][curve['thresholds'].index(row['oracle_threshold'])]
        assert record['metrics'][f'mct {row["map"]} cam/mIoU'] == row['mIoU']
    lines = [line.split(' | ') for line in text.splitlines() if line.startswith('| mct')]
    assert [line[1].split()[0] for line in lines] == MAPS
    assert [line[2] for line in lines] == [f'{row["mIoU"]:.2f}' for row in rows]
    assert all(words in text for words in ('mIoU at 0.3', '3 images of val', 'which the masks chose'))
    assert 'refined_patch_cams' in capsys.readouterr().out


def test_the_numbers_are_those_of_test_py(root):
    """Maps are those that the model predicts, and the rates those of CAMMetric."""
    _, rows, _ = table(root, '--options', 'maps=cams')
    cfg = Config.fromfile(root / 'mct.py')
    unused = ('train_dataloader', 'train_cfg', 'optim_wrapper', 'val_dataloader', 'val_cfg', 'val_evaluator')
    cfg = {**cfg.to_dict(), **dict.fromkeys(unused), 'test_evaluator': [dict(type='CAMMetric', threshold=.3)],
           'test_cfg': dict(type='TestLoop')}
    write_config(cfg, root / 'test.py')
    call_tool('tools/test.py', root / 'test.py', root / 'mct.pth', '--work-dir', root / 'work')
    metrics = json.loads((root / 'work/results.json').read_text())['metrics']
    assert [round(rows[0][key], 2) for key in ('mIoU', 'FP', 'oracle_mIoU')] == [
        metrics[f'cam/{key}'] for key in ('mIoU', 'FP', 'oracle_mIoU')]


def test_several_models_chosen_maps_and_a_threshold_of_ones_own(root):
    record, rows, text = table(root, root / 'mct.py', root / 'mct.pth', '--labels', 'one,two', '--split', 'train',
                               '--options', 'maps=cams,patch_cams', 'threshold=.45')
    assert [(row['label'], row['map']) for row in rows] == [
        (label, name) for label in ('one', 'two') for name in ('cams', 'patch_cams')]
    assert rows[0]['curve'] == rows[2]['curve']
    assert (record['split'], record['runs'][0]['num_images'], rows[0]['threshold']) == ('train', 6, .45)
    assert 'mIoU at 0.45' in text


def test_published_sweep(root):
    """The best threshold is one of 0, 0.01, ..., 0.59; the fixed one need not be."""
    _, (row, ), _ = table(root, '--options', 'maps=attention', 'published_sweep=True', 'threshold=.75')
    assert row['curve']['thresholds'] == [*(k / 100 for k in range(60)), .75]
    assert row['threshold'] == .75
    assert row['oracle_threshold'] <= .59
    assert row['oracle_mIoU'] == pytest.approx(max(row['curve']['mIoU'][:60]))


def test_a_setting_is_swept(root):
    _, rows, text = table(root, '--options', 'maps=attention', '--sweep', 'model.cam_head.attention_layers=1,3')
    assert [row['setting'] for row in rows] == [{'model.cam_head.attention_layers': k} for k in (1, 3)]
    assert not np.array_equal(rows[0]['curve']['mIoU'], rows[1]['curve']['mIoU'])
    assert 'mct attention_layers=3' in text


@pytest.mark.parametrize(('text', 'values'), [
    ('k=1,2.5', [1, 2.5]), ('k=mct,fused', ['mct', 'fused']), ('k=[],[0],[0,-1]', [[], [0], [0, -1]])])
def test_values_of_a_sweep(text, values):
    tool = load_tool(SCRIPT)
    assert tool.parse_sweep(text) == ('k', values)
    with pytest.raises(argparse.ArgumentTypeError, match='expected KEY=V1,V2'):
        tool.parse_sweep('k=')


def test_two_processes_count_as_one(root):
    alone = analyze(root, 'cam-table', '--options', 'maps=cams', '--split', 'train')['runs'][0]
    run_tool('tools/launch.py', '--standalone', '--nproc-per-node', 2, REPO / SCRIPT, 'cam-table', root / 'mct.py',
             root / 'mct.pth', '--options', 'maps=cams', '--split', 'train', '--out', root / 'two',
             '--launcher', 'pytorch')
    both = json.loads((root / 'two/cam-table.json').read_text())['runs'][0]
    assert both['data'] == alone['data']
    assert sorted(both['images']) == sorted(alone['images'])


def test_layers_alone_and_together(root):
    record = analyze(root, 'layer-maps')
    data = record['runs'][0]['data']
    assert list(data['maps']) == ['unrefined', 'mean', 'layer_1', 'layer_2', 'layer_3']
    assert data['num_layers'] == LAYERS
    mean = data['maps']['mean']
    assert mean['mIoU_at_threshold_of_mean'] == mean['mIoU']
    assert all(rates['mIoU_at_threshold_of_mean'] <= rates['mIoU'] for rates in data['maps'].values())
    _, rows, _ = table(root, '--options', 'maps=fused_cams,cams')
    assert [rates['mIoU'] for rates in (data['maps']['unrefined'], mean)] == pytest.approx(
        [row['oracle_mIoU'] for row in rows])


def test_two_runs_and_two_depths_share_a_figure(root):
    record = analyze(root, 'layer-maps', root / 'mct.py', 'start', '--labels', 'trained,start')
    shallow = json.loads(json.dumps(record['runs'][0]))
    shallow['data']['num_layers'] = 2
    record['runs'].append(shallow)
    build_analysis('layer-maps')[0].draw(record, root / 'both.svg')
    text = (root / 'both.svg').read_text()
    assert text.startswith('<?xml')


def test_first_and_last_layers(root):
    first = analyze(root, 'first-layers')['runs'][0]['data']['maps']
    assert list(first) == ['first_1', 'first_2', 'first_3']
    text = (root / 'out/first-layers.md').read_text()
    assert '| K | 1 | 2 | 3 |' in text
    assert f'{first["first_2"]["mIoU"]:.2f}' in text
    last = analyze(root, 'last-layers')['runs'][0]['data']['maps']
    _, rows, _ = table(root, '--options', 'maps=attention', '--sweep', 'model.cam_head.attention_layers=1,2,3')
    # Both sum the layers in another order, which moves a pixel over the threshold on some CPUs.
    assert [rates['mIoU'] for rates in last.values()] == pytest.approx([row['oracle_mIoU'] for row in rows], abs=.05)
    for rates in last.values():
        assert rates['mIoU'] + rates['FP'] + rates['FN'] == pytest.approx(100)


def test_sets_of_layers(root):
    found = analyze(root, 'layer-sets', '--options', "layers={'two': [2], 'ends': [1, 3]}")['runs'][0]['data']['maps']
    assert list(found) == ['unrefined', 'shallow', 'deep', 'all', 'two', 'ends']
    layers = analyze(root, 'layer-maps')['runs'][0]['data']['maps']
    assert (found['shallow'], found['two'], found['all']) == tuple(
        {key: value for key, value in layers[name].items() if key != 'mIoU_at_threshold_of_mean'}
        for name in ('layer_1', 'layer_2', 'mean'))


def test_curves_over_thresholds_and_couplings(root):
    found = analyze(root, 'thresholds', '--options', 'maps=cams,attention', 'rates=mIoU,FP')['runs'][0]['data']['maps']
    assert list(found) == ['cams', 'attention']
    assert found['cams']['mIoU'] == max(found['cams']['curve']['mIoU'])
    coupled = analyze(root, 'couplings')['runs'][0]['data']['maps']
    assert list(coupled) == ['plain', 'ClsAttn', 'AttnAgg', 'TransCAM']
    assert coupled['TransCAM']['mIoU'] == pytest.approx(found['cams']['mIoU'])


@pytest.mark.parametrize(('args', 'words'), [
    (['cam-table', '--options', 'maps=cams,heat'], "no map 'heat'; its maps are cams, attention"),
    (['thresholds', '--options', 'rates=IoU'], "rates has 'IoU'"),
    (['layer-sets', '--options', "layers={'a': [4]}"], 'layers has 4: the layers of the model are numbered from 1'),
    (['layer-maps', '--options', 'base=fused_cam'], "no map 'fused_cam'"),
    (['last-layers', '--cfg-options', 'model.backbone.num_class_tokens=1', 'model.cam_head.num_classes=2'], None)])
def test_what_is_refused(root, args, words):
    checkpoint = root / 'mct.pth' if words else 'start'
    with pytest.raises(UserError, match=words or '1 class tokens and 2 classes: last-layers needs a class token'):
        call_tool(SCRIPT, args[0], root / 'mct.py', checkpoint, '--out', root / 'refused', *args[1:])
    assert not (root / 'refused').exists()


def black_image(labels):
    mask = torch.zeros(8, 8, dtype=torch.long)
    return Sample(torch.zeros(1, 3, 8, 8), np.zeros((8, 8, 3), np.uint8), labels, mask, 'black', {}, ('x', 'y'))


def test_model_without_maps():
    model = MODELS.build(tiny_segmentor())
    analysis, _ = build_analysis('cam-table')
    with pytest.raises(UserError, match='EncoderDecoder gives no class activation maps'):
        analysis.process(model, black_image(torch.ones(2)))


def test_an_image_without_classes_is_background(root):
    analysis, _ = build_analysis('thresholds')
    model = MODELS.build(Config.fromfile(root / 'mct.py').model).eval()
    analysis.process(model, black_image(torch.zeros(2)))
    assert analysis.results()['cams'].per_class(.5)['IoU']['background'] == 100


def test_a_mean_that_is_undefined_is_null():
    masks_of_background = np.array([9, 0])
    result = EvaluationResult(np.array([[9, 0]] * 2), np.array([[9, 0]] * 2), masks_of_background, ['background', 'a'],
                              np.array([.1, .2]))
    assert math.isnan(rates_of(result, [.1, .2])['mIoU'])
    row = dict.fromkeys(('mIoU', 'oracle_mIoU', 'oracle_threshold', 'oracle_FP', 'oracle_FN', 'oracle_precision',
                         'oracle_recall'))
    data = dict(rows=[dict(row, map='m', threshold=.2, notes=result.notes)])
    record = dict(split='val', threshold_rule='', runs=[dict(label='a', num_images=1, data=data)])
    shown = build_analysis('cam-table')[0].table(record)
    assert shown.rows[0][2] == '-'
    assert 'no pixel of a foreground class' in shown.notes
