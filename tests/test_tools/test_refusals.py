"""All tools end alike: one line and exit code 2 for what the user can fix, whatever the tool and the input."""

import ast
import json
import os
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmwsss.apis import init_model
from mmwsss.datasets import ImageLabels
from mmwsss.datasets.map_files import write_cams, write_label_map
from tests.color_cam import color_cam_config
from tests.helpers import CLASSES, REPO, write_config, write_voc_folder

# launch.py is torchrun, version_matrix.py runs without mmwsss being installed, and chaos.py starts chaos_runs.py.
OTHERS = {REPO / 'tools' / name for name in ('launch.py', 'misc/version_matrix.py', 'misc/chaos_runs.py')}
TOOLS = sorted(path for folder in ('tools', 'projects') for path in (REPO / folder).rglob('*.py')
               if 'def main(' in path.read_text(encoding='utf-8') and path not in OTHERS)
EVAL, TABLE, LABELS = 'eval_pseudo_labels.py', 'analyze.py', 'dataset_converters/image_labels.py'
PSEUDO, BROWSE, PRINT = 'make_pseudo_labels.py', 'misc/browse_dataset.py', 'misc/print_config.py'
COCO, IDS = 'dataset_converters/coco2014.py', 'dataset_converters/coco_category_ids.py'
CAM = 'configs/cam/cam_vit-micro_sample.py'
FOLDERS = ['--gt-dir', 'data/SegmentationClass', '--split', 'data/ImageSets/Segmentation/val.txt']


@pytest.mark.parametrize('path', TOOLS, ids=lambda path: path.name)
def test_every_tool_starts_through_run_tool(path):
    last = ast.parse(path.read_text(encoding='utf-8')).body[-1]
    assert isinstance(last, ast.If), 'the last statement is not: if __name__ == ...'
    line, = (ast.unparse(line) for line in last.body)
    assert line.startswith('run_tool(main')


def test_every_script_is_a_tool():
    scripts = {path for path in (REPO / 'tools').rglob('*.py') if '__main__' in path.read_text(encoding='utf-8')}
    assert scripts - OTHERS <= set(TOOLS)


def coco_file(**changes):
    """An instances file of one image, with changes."""
    content = dict(images=[dict(id=7, file_name='a.jpg', height=8, width=8)],
                   categories=[dict(id=1, name='cat')],
                   annotations=[dict(id=1, image_id=7, category_id=1, iscrowd=0,
                                     segmentation=[[0, 0, 4, 0, 4, 4]])])
    return json.dumps({**content, **changes})


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """A folder with data, configs, a checkpoint, tables and folders of labels and maps, good and bad."""
    root = tmp_path_factory.mktemp('refusals')
    data = write_voc_folder(root / 'data', num_train=3)
    cfg = Config(color_cam_config(data))
    write_config(cfg.to_dict(), root / 'cam.py')
    torch.save({'state_dict': {}}, root / 'empty.pth')
    torch.save({'state_dict': init_model(cfg).state_dict()}, root / 'good.pth')
    (root / 'text.pth').write_text('<!DOCTYPE html>')
    (root / 'broken.py').write_text('model = dict(')
    (root / 'tags.csv').write_text('image,cat,dog\na.jpg,0.9,0.1\n')
    (root / 'short.csv').write_text('image,tags\n"a.jpg,cat\n')
    (root / 'evil.csv').write_text('image,tags\n../../a.jpg,cat\n')
    for name in ('size', 'rgb', 'values', 'nan', 'few'):
        (root / name).mkdir()
    for image_id in ('img_003', 'img_004', 'img_005'):
        write_label_map(np.zeros((4, 5), np.uint8), root / f'size/{image_id}.png')
        Image.new('RGB', (56, 40)).save(root / f'rgb/{image_id}.png')
        write_label_map(np.full((40, 56), 9), root / f'values/{image_id}.png')
        write_cams(np.full((1, 40, 56), np.nan), [0], (40, 56), root / f'nan/{image_id}.npz')
    for name, changes in dict(
            category=dict(annotations=[dict(id=1, image_id=7, category_id=5, segmentation=[])]),
            image=dict(annotations=[dict(id=1, image_id=9, category_id=1, segmentation=[])]),
            lacks=dict(annotations=[dict(id=1, image_id=7)]), name=dict(images=[dict(id=7)]),
            evil=dict(images=[dict(id=7, file_name='../../evil.jpg', height=8, width=8)]), good={}).items():
        (root / f'coco_{name}.json').write_text(coco_file(**changes))
        (root / f'coco_{name}/annotations').mkdir(parents=True)
        for split in ('train', 'val'):
            (root / f'coco_{name}/annotations/instances_{split}2014.json').write_text(coco_file(**changes))
    photos = root / 'photos/images'
    photos.mkdir(parents=True)
    os.mkfifo(photos / 'pipe.jpg')
    damaged = root / 'damaged/images'
    damaged.mkdir(parents=True)
    (damaged / 'a.jpg').write_bytes(b'no picture')
    for name, image_id in (('photos', 'pipe'), ('damaged', 'a')):
        ImageLabels(CLASSES, {image_id: ['disc']}).save(root / name / 'labels.json')
    return root


PHOTOS = ['--classes', ','.join(CLASSES), '--label-file', 'labels.json']
CASES = [
    (EVAL, [*FOLDERS, '--label-dir', 'nowhere'], 'folder of label maps nowhere does not exist'),
    (EVAL, [*FOLDERS, '--label-dir', 'few'], '3 of 3 label maps'),
    (EVAL, [*FOLDERS, '--label-dir', 'size'], 'size/img_003.png: the label map is (4, 5), its ground truth (40, 56)'),
    (EVAL, [*FOLDERS, '--label-dir', 'rgb'], 'rgb/img_003.png is a RGB picture'),
    (EVAL, [*FOLDERS, '--label-dir', 'values'], 'values/img_003.png: labels hold [9]'),
    (EVAL, [*FOLDERS, '--cam-dir', 'nan'], 'nan/img_003.npz'),
    (EVAL, ['--gt-dir', 'size', '--split', 'nowhere.txt', '--label-dir', 'size', '--num-classes', 3], 'nowhere.txt'),
    (EVAL, ['--gt-dir', 'size', *FOLDERS[2:], '--label-dir', 'size'], 'no classes: give --num-classes or --classes'),
    (TABLE, ['cam-table', CAM, '--out', 'out'], f'{CAM} has no checkpoint'),
    (TABLE, ['cam-table', CAM, 'nowhere.pth', '--out', 'out'], 'no checkpoint nowhere.pth'),
    (TABLE, ['cam-table', CAM, 'empty.pth', 'extra.py', '--out', 'out'], 'extra.py has no checkpoint'),
    (TABLE, ['cam-table', CAM, 'empty.pth', '--labels', 'a,b', '--out', 'out'], '--labels names 2 runs, there are 1'),
    (TABLE, ['cam-table', 'cam.py', 'empty.pth', '--out', 'out', '--cfg-options', 'model.test_cfg.thresh=.4'],
     "did you mean 'threshold'?"),
    (PRINT, ['configs/toco/toco_vitb_voc.py'], 'did you mean configs/toco/toco_vit-b_voc.py'),
    (PRINT, ['broken.py'], 'config broken.py cannot be read: SyntaxError'),
    (PRINT, [CAM, '--save-path', 'config.txt'], '--save-path must end in .py'),
    (PRINT, [CAM, '--data-root', 'nowhere'], 'data root nowhere does not exist'),
    (PRINT, [CAM, '--cfg-options', 'custom_hooks.9.type=None'], '9'),
    (BROWSE, [CAM, '--data-root', 'nowhere'], 'data root nowhere does not exist'),
    (BROWSE, [CAM, '--data-root', 'photos', *PHOTOS], 'pipe.jpg'),
    (BROWSE, [CAM, '--data-root', 'damaged', *PHOTOS], 'image damaged/images/a.jpg'),
    (BROWSE, ['cam.py', '--number', 0], '--number must be at least 1'),
    (PSEUDO, ['cam.py', 'nowhere.pth', '--out-dir', 'out'], 'nowhere.pth'),
    (PSEUDO, ['cam.py', 'text.pth', '--out-dir', 'out'], 'text.pth'),
    (PSEUDO, ['cam.py', 'good.pth', '--out-dir', 'data'], 'the folder for pseudo labels data contains'),
    (PSEUDO, ['cam.py', 'good.pth', '--out-dir', 'out', '--threshold', '1.5'], 'background scores must be in [0, 1]'),
    (PSEUDO, ['cam.py', 'good.pth', '--out-dir', 'out', '--threshold', '.5', '--high', '.4'], 'high not below low'),
    (PSEUDO, ['cam.py', 'good.pth', '--out-dir', 'out', '--first-key', 1], '--cams'),
    (PSEUDO, ['cam.py', 'good.pth', '--out-dir', 'out', '--cams', 'nowhere'], 'folder of CAMs nowhere'),
    (PSEUDO, ['cam.py', 'good.pth', '--out-dir', 'out', '--split', 'nowhere.txt'], 'nowhere.txt'),
    ('analyze.py', ['layer-entropies', 'configs/aream/aream_vit-micro_sample.py', 'nowhere.pth', '--out', 'analyses'],
     'nowhere.pth'),
    ('analysis_tools/publish_report.py', ['few', 'out'], 'no report few/report.md'),
    (LABELS, ['table', 'tags.csv', '--out', 'x.json'], 'tags.csv, line 2, column'),
    (LABELS, ['table', 'short.csv', '--out', 'x.json'], 'short.csv'),
    (LABELS, ['table', 'evil.csv', '--out', 'x.json'], "evil.csv"),
    (LABELS, ['coco', 'coco_category.json', '--out', 'x.json'], 'coco_category.json'),
    (LABELS, ['coco', 'coco_image.json', '--out', 'x.json'], 'coco_image.json'),
    (LABELS, ['coco', 'coco_lacks.json', '--out', 'x.json'], 'coco_lacks.json'),
    (LABELS, ['coco', 'coco_name.json', '--out', 'x.json'], 'coco_name.json'),
    (LABELS, ['coco', 'coco_evil.json', '--out', 'x.json'], 'coco_evil.json'),
    (LABELS, ['masks', 'rgb', '--classes', 'disc,bar', '--out', 'x.json'], 'rgb/img_00'),
    (COCO, ['coco_category', '--nproc', 1], 'instances_train2014.json'),
    (COCO, ['coco_image', '--nproc', 1], 'instances_train2014.json'),
    (COCO, ['coco_lacks', '--nproc', 1], 'instances_train2014.json'),
    (COCO, ['coco_evil', '--nproc', 1], 'instances_train2014.json'),
    (IDS, ['few', 'out', '--to', 'classes'], 'few has no PNG'),
    (IDS, ['rgb', 'out', '--to', 'classes'], 'rgb/img_003.png'),
    ('dataset_converters/make_sample.py', ['rgb'], 'rgb'),
    ('dataset_converters/voc_aug.py', ['few', 'few'], '7 things are missing'),
    ('model_converters/official2mmwsss.py', ['toco', 'text.pth', 'out.pth'], 'text.pth'),
    ('model_converters/publish_backbone.py', ['empty.pth', 'out'], 'empty.pth'),
    ('run_recipe.py', ['nowhere.py'], 'nowhere.py'),
    ('run_recipe.py', ['configs/toco/recipe_sample.py', '--gpus', 0], '--gpus must be 1 or more'),
]


@pytest.mark.parametrize(('script', 'args', 'words'), CASES)
def test_one_line_and_exit_code_2(root, monkeypatch, capsys, script, args, words):
    monkeypatch.chdir(root)
    monkeypatch.setattr(sys, 'argv', [script, *map(str, args)])
    before = sorted(root.rglob('*'))
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(REPO / 'tools' / script), run_name='__main__')
    assert ended.value.code == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith(f'{Path(script).name}: ')
    assert words in last
    assert [path for path in sorted(root.rglob('*')) if path not in before and path.suffix in ('.png', '.pth')] == []


def test_the_traceback_is_shown_on_demand(root, monkeypatch):
    monkeypatch.chdir(root)
    monkeypatch.setenv('MMWSSS_DEBUG', '1')
    monkeypatch.setattr(sys, 'argv', [EVAL, *FOLDERS, '--label-dir', 'nowhere'])
    with pytest.raises(FileNotFoundError, match='nowhere'):
        runpy.run_path(str(REPO / 'tools' / EVAL), run_name='__main__')
