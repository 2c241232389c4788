"""tools/make_pseudo_labels.py and tools/eval_pseudo_labels.py, one after the other."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmwsss.apis import init_model
from tests.colour_cam import colour_cam_config
from tests.helpers import REPO, call_tool, run_tool, write_config, write_voc_folder

MAKE, EVAL = 'tools/make_pseudo_labels.py', 'tools/eval_pseudo_labels.py'


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, a config, a checkpoint and the labels made from them."""
    root = tmp_path_factory.mktemp('make')
    cfg = Config(colour_cam_config(write_voc_folder(root / 'data')))
    write_config(cfg._cfg_dict.to_dict(), root / 'cfg.py')
    torch.save({'state_dict': init_model(cfg).state_dict()}, root / 'model.pth')
    result = run_tool(MAKE, root / 'cfg.py', root / 'model.pth', '--out-dir', root / 'crf', '--post', 'crf', '--high',
                      '.7', '--save-cams', '--workers', '1', cwd=root)
    (root / 'output.txt').write_text(result.stdout)
    return root


def pictures(folder: Path) -> dict:
    return {path.name: path.read_bytes() for path in folder.glob('*.png')}


def test_labels_and_summary(root: Path):
    output = (root / 'output.txt').read_text()
    assert 'class maps take up to' in output
    assert '6 label maps in' in output
    assert all(name in output for name in ('disc', 'bar', 'ignored', '6 made in'))
    values = {int(value) for name in pictures(root / 'crf') for value in np.unique(Image.open(root / 'crf' / name))}
    assert {0, 1, 2} <= values <= {0, 1, 2, 255}
    manifest = json.loads((root / 'crf/pseudo_labels.json').read_text())['settings']
    assert (manifest['threshold'], manifest['high'], manifest['post']) == (.5, .7, 'crf')
    assert manifest['crf']['bilateral_sxy'] == 80


def test_two_processes_write_the_same_as_one(root: Path):
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(REPO)}
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2', REPO / MAKE,
               root / 'cfg.py', root / 'model.pth', '--out-dir', root / 'two', '--launcher', 'pytorch']
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, cwd=root)
    assert result.returncode == 0, result.stdout + result.stderr
    call_tool(MAKE, root / 'cfg.py', root / 'model.pth', '--out-dir', root / 'one')
    assert pictures(root / 'one') == pictures(root / 'two')
    assert len(pictures(root / 'one')) == 6


def test_other_settings_and_wrong_arguments_are_refused(root: Path):
    common = (root / 'cfg.py', root / 'model.pth', '--out-dir', root / 'crf')
    with pytest.raises(ValueError, match='post is "crf" there and "none" now'):
        call_tool(MAKE, *common)
    with pytest.raises(FileNotFoundError, match='no checkpoint .*none.pth'):
        call_tool(MAKE, root / 'cfg.py', root / 'none.pth', '--out-dir', root / 'x')
    with pytest.raises(ValueError, match='no threshold'):
        call_tool(MAKE, root / 'cfg.py', root / 'model.pth', '--out-dir', root / 'x', '--cfg-options',
             'model.test_cfg.threshold=None')
    assert not (root / 'x').exists()
    result = run_tool(MAKE, *common, check=False)
    assert result.returncode == 1
    assert result.stdout.strip().splitlines()[-1].startswith('ValueError: ')
    assert 'Traceback' not in result.stdout


def test_other_weights_are_other_settings(root: Path, tmp_path: Path):
    arguments = ('--out-dir', tmp_path / 'out')
    call_tool(MAKE, root / 'cfg.py', root / 'model.pth', *arguments)
    state = torch.load(root / 'model.pth', weights_only=True)['state_dict']
    torch.save({'state_dict': {key: value + .01 for key, value in state.items()}}, tmp_path / 'model.pth')
    with pytest.raises(ValueError, match='checkpoint is'):
        call_tool(MAKE, root / 'cfg.py', tmp_path / 'model.pth', *arguments)
    call_tool(MAKE, root / 'cfg.py', tmp_path / 'model.pth', *arguments, '--overwrite')
    with pytest.raises(ValueError, match='model is'):
        call_tool(MAKE, root / 'cfg.py', tmp_path / 'model.pth', *arguments, '--cfg-options',
             'model.test_cfg.cams.flip=False')


def evaluate(root: Path, *args: object) -> dict:
    """Run the evaluation and read what it wrote."""
    call_tool(EVAL, '--gt-dir', root / 'data/SegmentationClass', '--split',
         root / 'data/ImageSets/Segmentation/train.txt', '--json', root / 'found.json', *args)
    return json.loads((root / 'found.json').read_text())


def test_evaluation_of_labels(root: Path, capsys: pytest.CaptureFixture):
    found = evaluate(root, '--label-dir', root / 'crf', '--plot', root / 'labels.png')
    assert found['metrics']['pseudo/mIoU'] > 80
    assert found['metrics']['pseudo/mIoU'] == pytest.approx(np.mean(found['IoU']), abs=.01)
    assert found['classes'] == ['background', 'disc', 'bar']
    assert found['num_images'] == 6
    with Image.open(root / 'labels.png') as image:
        assert image.width > 500
    output = capsys.readouterr().out
    assert all(word in output for word in ('disc', 'precision', 'recall', 'undecided', 'pseudo/mIoU'))


def test_evaluation_of_class_maps(root: Path, capsys: pytest.CaptureFixture):
    found = evaluate(root, '--cam-dir', root / 'crf/cams', '--thresholds', '0.1:0.9:0.2', '--threshold',
                     '.5', '--num-classes', '3', '--plot', root / 'cams.pdf')
    assert found['thresholds'] == [.1, .3, .5, .7, .9]
    metrics = found['metrics']
    assert metrics['pseudo/mIoU'] == round(found['mIoU'][2], 2)
    assert metrics['pseudo/oracle_mIoU'] == round(max(found['mIoU']), 2)
    assert metrics['pseudo/oracle_threshold'] == found['thresholds'][int(np.argmax(found['mIoU']))]
    assert (root / 'cams.pdf').stat().st_size > 1000
    assert 'oracle, the best by the masks' in capsys.readouterr().out
    only_oracle = evaluate(root, '--cam-dir', root / 'crf/cams', '--thresholds', '0:0.99:0.01')
    assert all('oracle' in key for key in only_oracle['metrics'])


def test_wrong_arguments_of_the_evaluation(root: Path, tmp_path: Path,
                                           capsys: pytest.CaptureFixture):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='6 of 6 label maps'):
        evaluate(root, '--label-dir', tmp_path / 'empty')
    for text in ('0:1', '0:2:0.1', '0.5:0.1:0.1', '0:1:-0.1', '0:1:0', 'a:b:c'):
        with pytest.raises(SystemExit):
            evaluate(root, '--cam-dir', root / 'crf/cams', '--thresholds', text)
        assert repr(text) in capsys.readouterr().err
    (root / 'data/classes.txt').rename(root / 'data/names.txt')
    try:
        with pytest.raises(ValueError, match=r'--num-classes or --classes.*classes\.txt'):
            evaluate(root, '--label-dir', root / 'crf')
        named = evaluate(root, '--label-dir', root / 'crf', '--classes', root / 'data/names.txt')
        assert named['classes'] == ['background', 'disc', 'bar']
    finally:
        (root / 'data/names.txt').rename(root / 'data/classes.txt')
