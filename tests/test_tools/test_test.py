"""tools/test.py and tools/dist_test.sh on a tiny model."""

import json
import shutil

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image

from mmwsss.apis import init_model
from mmwsss.datasets import index_palette
from mmwsss.datasets.map_files import write_label_map
from mmwsss.registry import MODELS
from mmwsss.utils import OutputError

from ..helpers import assert_quiet, call_tool, load_tool, run_tool, tiny_runner_cfg, write_config, write_voc_folder

TTA_PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[
        [dict(type='Resize', scale_factor=factor, keep_ratio=True) for factor in (1.0, 0.5)],
        [dict(type='RandomFlip', prob=prob, direction='horizontal') for prob in (0., 1.)],
        [dict(type='LoadAnnotations')],
        [dict(type='PackSegInputs')],
    ]),
]


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Give a folder with a config and a checkpoint of its model."""
    root = tmp_path_factory.mktemp('test')
    cfg = tiny_runner_cfg(write_voc_folder(root / 'data'), root / 'unused')
    cfg.update(tta_model=dict(type='SegTTAModel'), tta_pipeline=TTA_PIPELINE, log_level='INFO')
    write_config(cfg, root / 'tiny.py')
    init_default_scope('mmwsss')
    model = MODELS.build(Config(cfg).model)
    torch.manual_seed(0)
    model.init_weights()
    torch.save(dict(state_dict=model.state_dict(), meta={}), root / 'model.pth')
    return root


def numbers(work_dir):
    file, = work_dir.glob('*/*.json')
    return json.loads(file.read_text())


def masks(folder):
    return {path.stem: np.array(Image.open(path)) for path in folder.glob('*.png')}


@pytest.fixture(scope='module')
def plain(root):
    result = run_tool('tools/test.py', root / 'tiny.py', root / 'model.pth', '--work-dir', root / 'plain', '--out',
                      root / 'plain_out', '--show-dir', root / 'plain_show', cwd=root)
    (root / 'output.txt').write_text(result.stdout)
    return root


def test_numbers_label_maps_and_pictures(plain):
    assert 0 <= numbers(plain / 'plain')['seg/mIoU'] <= 100
    results = json.loads((plain / 'plain/results.json').read_text())
    assert (results['tool'], results['checkpoint']) == ('test.py', str(plain / 'model.pth'))
    assert results['metrics']['seg/mIoU'] == pytest.approx(numbers(plain / 'plain')['seg/mIoU'])
    written = masks(plain / 'plain_out')
    assert sorted(written) == ['img_006', 'img_007', 'img_008']
    assert all(mask.shape == (40, 56) and mask.max() <= 2 for mask in written.values())
    assert len(list((plain / 'plain_show').rglob('test_img_*.png'))) == 3


def test_the_console_shows_tables_and_where_everything_is(plain):
    output = (plain / 'output.txt').read_text()
    assert_quiet(output, 24)
    assert output.count('| background |') == 1
    for shown in ('testing ', 'model.pth', 'test: 3/3 in 0:', 'seg/mIoU', f'{plain}/plain/results.json', '.log'):
        assert shown in output, shown


def test_two_processes_give_the_same(plain):
    if torch.cuda.is_available():
        pytest.skip('with GPUs, processes run on them')
    run_tool('tools/dist_test.sh', plain / 'tiny.py', plain / 'model.pth', 2, '--work-dir', plain / 'dist', '--out',
             plain / 'dist_out', cwd=plain)
    assert numbers(plain / 'dist')['seg/mIoU'] == pytest.approx(numbers(plain / 'plain')['seg/mIoU'])
    expected = masks(plain / 'plain_out')
    written = masks(plain / 'dist_out')
    assert sorted(written) == sorted(expected)
    assert all(np.array_equal(mask, expected[name]) for name, mask in written.items())


def test_tta(plain):
    run_tool('tools/test.py', plain / 'tiny.py', plain / 'model.pth', '--work-dir', plain / 'tta', '--tta', '--out',
             plain / 'tta_out', cwd=plain)
    assert 'seg/mIoU' in numbers(plain / 'tta')
    assert sorted(masks(plain / 'tta_out')) == ['img_006', 'img_007', 'img_008']


def test_lower_precision_is_used_and_recorded(plain, monkeypatch):
    seen = []
    forward = torch.nn.Conv2d.forward
    monkeypatch.setattr(torch.nn.Conv2d, 'forward', lambda self, x: seen.append(forward(self, x)) or seen[-1])
    call_tool('tools/test.py', plain / 'tiny.py', plain / 'model.pth', '--work-dir', plain / 'amp', '--amp', 'bf16')
    assert 'seg/mIoU' in numbers(plain / 'amp')
    assert json.loads((plain / 'amp/results.json').read_text())['amp'] == 'bf16'
    assert {out.dtype for out in seen} == {torch.bfloat16, torch.float32}  # the backbone, and the head after it


def test_absent_checkpoint(root):
    result = run_tool('tools/test.py', root / 'tiny.py', root / 'absent.pth', check=False)
    assert result.returncode != 0
    assert f'test.py: no checkpoint {root / "absent.pth"}' in result.stdout


@pytest.fixture(scope='module')
def tool():
    return load_tool('tools/test.py')


@pytest.mark.parametrize('name', ['mmseg.IoUMetric', 'IoUMetric', 'CheckedIoUMetric'])
def test_out_finds_the_segmentation_metric(tool, tmp_path, name):
    cfg = Config(dict(test_evaluator=[dict(type='CAMMetric'), dict(type=name)]))
    tool.write_predictions(cfg, str(tmp_path / 'out'))
    assert 'output_dir' not in cfg.test_evaluator[0]
    assert cfg.test_evaluator[1].output_dir == str(tmp_path / 'out')


def test_out_adds_a_writer_where_there_is_none(tool, tmp_path):
    cfg = Config(dict(test_evaluator=dict(type='CAMMetric')))
    tool.write_predictions(cfg, str(tmp_path / 'out'))
    assert cfg.test_evaluator[0].type == 'CAMMetric'
    assert cfg.test_evaluator[1] == dict(type='mmseg.IoUMetric', format_only=True, output_dir=str(tmp_path / 'out'))


def test_missing_parts_of_a_config_are_named(tool):
    with pytest.raises(ValueError, match='--tta needs tta_pipeline in the config'):
        tool.turn_on_tta(Config(dict(tta_model=dict(type='SegTTAModel'))))
    with pytest.raises(ValueError, match='need default_hooks.visualization'):
        tool.turn_on_drawing(Config(dict(default_hooks=dict(timer={}))), False, 'dir', 2)


def test_show_flags(tool):
    cfg = Config(dict(default_hooks=dict(visualization=dict(type='SegVisualizationHook')), visualizer=dict(type='V')))
    tool.turn_on_drawing(cfg, True, 'pictures', 1.5)
    assert cfg.default_hooks.visualization == dict(
        type='SegVisualizationHook', draw=True, interval=1, show=True, wait_time=1.5)
    assert cfg.visualizer.save_dir == 'pictures'


@pytest.mark.parametrize('out', ['data/SegmentationClass', 'data', 'data/JPEGImages/new', '', 'foreign', 'edited'])
def test_predictions_go_to_no_folder_of_somebody_else(plain, tmp_path, out):
    """Masks, photographs, the checkpoint's folder, a folder that holds something, predictions that were edited."""
    shutil.copytree(plain, tmp_path / 'all')
    folder = tmp_path / 'all' / out
    if out == 'foreign':
        write_label_map(np.zeros((2, 2)), folder / 'img_006.png')
    if out == 'edited':
        shutil.copytree(plain / 'plain_out', folder)
        write_label_map(np.zeros((2, 2)), folder / 'img_007.png')
    before = {path: path.read_bytes() for path in (tmp_path / 'all').rglob('*') if path.is_file()}
    with pytest.raises(OutputError, match='this run reads|Choose a new or an empty folder'):
        call_tool('tools/test.py', tmp_path / 'all/tiny.py', tmp_path / 'all/model.pth', '--work-dir',
                  tmp_path / 'work', '--out', folder, '--data-root', tmp_path / 'all/data')
    assert {path: path.read_bytes() for path in (tmp_path / 'all').rglob('*') if path.is_file()} == before


def test_predictions_replace_those_of_an_earlier_call(plain):
    before = masks(plain / 'plain_out')
    run_tool('tools/test.py', plain / 'tiny.py', plain / 'model.pth', '--work-dir', plain / 'again', '--out',
             plain / 'plain_out', cwd=plain)
    after = masks(plain / 'plain_out')
    assert all(np.array_equal(mask, after[name]) for name, mask in before.items())
    assert set(json.loads((plain / 'plain_out/mmwsss_files.json').read_text())['files']) == {
        f'{name}.png' for name in after}


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    """Write a folder of photographs, one in a subfolder, and nothing else."""
    folder = tmp_path_factory.mktemp('photos')
    (folder / 'more').mkdir()
    for name in ('a.png', 'b.jpg', 'more/c.jpg'):
        Image.new('RGB', (48, 40), (200, 60, 30)).save(folder / name)
    return folder


def classifier_checkpoint(path):
    """Save random weights of a small classifier; return the name of its config."""
    config = 'configs/mctformer/mctformer-v2_vit-micro_sample.py'
    model = init_model(config, cfg_options={'model.backbone.init_cfg': None})
    meta = dict(dataset_meta=dict(classes=('background', *'abcdefgh'), palette=index_palette(9)))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return config


@pytest.mark.parametrize('tta', [(), ('--tta', )])
def test_photographs_without_masks_are_predicted(root, photos, tmp_path, tta):
    out = run_tool('tools/test.py', root / 'tiny.py', root / 'model.pth', '--data-root', photos, '--work-dir',
                   tmp_path / 'work', '--out', tmp_path / 'out', '--show-dir', tmp_path / 'show', *tta, cwd=tmp_path)
    assert 'the test data have no masks: they are predicted without metrics' in out.stdout + (out.stderr or '')
    assert sorted(masks(tmp_path / 'out')) == ['a', 'b', 'c']
    assert all(mask.shape == (40, 48) for mask in masks(tmp_path / 'out').values())
    assert json.loads((tmp_path / 'work/results.json').read_text())['metrics'] == {}
    assert len(list((tmp_path / 'show').rglob('test_*.png'))) == 3


def test_a_classifier_predicts_photographs_with_the_classes_of_its_checkpoint(photos, tmp_path):
    config = classifier_checkpoint(tmp_path / 'model.pth')
    run_tool('tools/test.py', config, tmp_path / 'model.pth', '--data-root', photos, '--work-dir', tmp_path / 'work',
             '--out', tmp_path / 'out')
    assert sorted(masks(tmp_path / 'out')) == ['a', 'b', 'c']
    assert (tmp_path / 'work/vis_data/test.png').is_file()


def test_a_list_chooses_the_photographs(root, photos, tmp_path):
    data = shutil.copytree(photos, tmp_path / 'data')
    (data / 'val.txt').write_text('b\n')
    call_tool('tools/test.py', root / 'tiny.py', root / 'model.pth', '--data-root', data, '--work-dir',
              tmp_path / 'work', '--out', tmp_path / 'out')
    assert sorted(masks(tmp_path / 'out')) == ['b']


def test_a_folder_without_photographs_is_refused(root, tmp_path):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='has no folder'):
        call_tool('tools/test.py', root / 'tiny.py', root / 'model.pth', '--data-root', tmp_path / 'empty')
