"""tools/make_pseudo_labels.py; tools/eval_pseudo_labels.py on what it made."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmwsss.apis import PseudoLabelError, init_model
from mmwsss.datasets.map_files import read_cams, read_scores
from mmwsss.utils import OutputError
from tests.color_cam import color_cam_config
from tests.fork_server import warm_path
from tests.helpers import REPO, assert_quiet, call_tool, run_tool, write_config, write_voc_folder

MAKE, EVAL = 'tools/make_pseudo_labels.py', 'tools/eval_pseudo_labels.py'


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, a config, a checkpoint and the labels made from them."""
    root = tmp_path_factory.mktemp('make')
    cfg = Config(color_cam_config(write_voc_folder(root / 'data')))
    write_config(cfg._cfg_dict.to_dict(), root / 'cfg.py')
    torch.save({'state_dict': init_model(cfg).state_dict()}, root / 'model.pth')
    result = run_tool(MAKE, root / 'cfg.py', root / 'model.pth', '--out-dir', root / 'crf', '--post', 'crf', '--high',
                      '.7', '--save-cams', '--workers', '1', cwd=root)
    (root / 'output.txt').write_text(result.stdout)
    return root


def pictures(folder: Path) -> dict:
    """Return the finished label maps; hidden files are still being written, and vanish."""
    return {path.name: path.read_bytes() for path in folder.glob('[!.]*.png')}


def contents(folder: Path) -> dict:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def test_labels_and_summary(root: Path):
    output = (root / 'output.txt').read_text()
    assert_quiet(output, 40)
    assert 'CAMs take up to' in output
    assert '6 label maps in' in output
    assert all(name in output for name in ('disc', 'bar', 'ignored', '6 made in'))
    values = {int(value) for name in pictures(root / 'crf') for value in np.unique(Image.open(root / 'crf' / name))}
    assert {0, 1, 2} <= values <= {0, 1, 2, 255}
    manifest = json.loads((root / 'crf/pseudo_labels.json').read_text())['settings']
    background, crf = manifest['label_cfg']['steps']
    assert background == {'type': 'ConstantBackground', 'levels': [.5, .7]}
    assert (crf['type'], crf['bilateral_sxy']) == ('DenseCRF', 80)
    assert "dict(type='ConstantBackground', low=0.5, high=0.7)," in output
    assert "dict(type='DenseCRF', preset='mctformer_cam')," in output
    assert '        cams=dict(steps=[]),' in output
    results = json.loads((root / 'crf/results.json').read_text())
    assert results['num_images'] == 6
    assert 0 < results['metrics']['pseudo/background_pixels'] < 100


def test_two_processes_write_the_same_as_one(root: Path):
    run_tool('tools/launch.py', '--standalone', '--nproc-per-node', '2', REPO / MAKE, root / 'cfg.py',
             root / 'model.pth', '--out-dir', root / 'two', '--launcher', 'pytorch', cwd=root)
    call_tool(MAKE, root / 'cfg.py', root / 'model.pth', '--out-dir', root / 'one')
    assert pictures(root / 'one') == pictures(root / 'two')
    assert len(pictures(root / 'one')) == 6


ALL_FILES = ('--crf-alphas', '1', '12', '--save-cams', '--post', 'crf', '--high', '.7')


def slow_config(root: Path, folder: Path) -> Path:
    """A config whose model takes its time, and beside it the module that it imports."""
    (folder / 'slow_cam.py').write_text(
        'import os, time\nfrom mmwsss.registry import MODELS\nfrom tests.color_cam import ColorCAM\n\n'
        '@MODELS.register_module()\nclass SlowCAM(ColorCAM):\n    def predict_cams(self, *args, **kwargs):\n'
        "        time.sleep(float(os.environ.get('SLOW', '0')))\n"
        '        return super().predict_cams(*args, **kwargs)\n')
    cfg = Config.fromfile(root / 'cfg.py')
    cfg.model.type = 'SlowCAM'
    cfg.custom_imports.imports.append('slow_cam')
    return write_config(cfg._cfg_dict.to_dict(), folder / 'slow.py')


def processes_of(word: str) -> list[int]:
    """Ids of the processes that were started with a word on the command line or in the environment."""
    found = []
    for folder in Path('/proc').glob('[0-9]*'):
        with contextlib.suppress(OSError):
            if word.encode() in (folder / 'environ').read_bytes():
                found.append(int(folder.name))
    return found


@pytest.mark.skipif(not Path('/proc/self/environ').exists(), reason='looks for processes in /proc')
def test_kill_9_and_the_same_command_again(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                           capsys: pytest.CaptureFixture):
    arguments = [slow_config(root, tmp_path), root / 'model.pth', *ALL_FILES, '--workers', '1', '--out-dir']
    mark = f'MARK={tmp_path}'
    environment = {'PYTHONPATH': os.pathsep.join([str(REPO), str(tmp_path)]), 'OMP_NUM_THREADS': '1', 'SLOW': '.3',
                   'MARK': str(tmp_path)}
    process = subprocess.Popen([sys.executable, REPO / MAKE, *map(str, arguments), tmp_path / 'killed'],
                               stdout=subprocess.DEVNULL, env={**os.environ, **environment}, cwd=tmp_path)
    limit = time.monotonic() + 300
    while len(pictures(tmp_path / 'killed')) < 2 and time.monotonic() < limit:
        time.sleep(.01)
    process.kill()
    process.wait()
    while processes_of(mark) and time.monotonic() < limit:
        time.sleep(.02)
    assert not processes_of(mark), 'workers end with the process they work for'
    finished = len(pictures(tmp_path / 'killed'))
    assert 2 <= finished < 6, 'the run was to be killed in its midst'
    (tmp_path / 'killed/crf_1/.img_005.0123456789ab.npz').write_bytes(b'half')

    monkeypatch.syspath_prepend(tmp_path)
    call_tool(MAKE, *arguments, tmp_path / 'killed', '--workers', '0')
    assert f'{6 - finished} made in' in capsys.readouterr().out
    call_tool(MAKE, *arguments, tmp_path / 'whole', '--workers', '0')
    assert contents(tmp_path / 'killed') == contents(tmp_path / 'whole')
    assert len(contents(tmp_path / 'whole')) == 6 * 4 + 2


def test_damaged_files_are_made_again(root: Path, tmp_path: Path):
    arguments = [root / 'cfg.py', root / 'model.pth', *ALL_FILES, '--workers', '0', '--out-dir', tmp_path / 'out']
    call_tool(MAKE, *arguments)
    whole = contents(tmp_path / 'out')
    for number, name in enumerate(['img_000.png', 'cams/img_001.npz', 'crf_1/img_002.npz', 'crf_12/img_003.npz']):
        path, content = tmp_path / 'out' / name, whole[name]
        middle = len(content) // 2
        damaged = b'' if number % 2 else bytes([content[middle] ^ 1]) + content[middle + 1:]
        path.write_bytes(content[:middle] + damaged)
    (tmp_path / 'out/crf_12/img_004.npz').unlink()
    call_tool(MAKE, *arguments)
    assert contents(tmp_path / 'out') == whole


@pytest.mark.parametrize('cam_format', ['npz', 'npy'])
def test_maps_for_an_affinity_network(root: Path, tmp_path: Path, cam_format: str):
    call_tool(MAKE, root / 'cfg.py', root / 'model.pth', '--out-dir', tmp_path, '--crf-alphas', '1', '12',
              '--cam-format', cam_format, '--workers', '0')
    with Image.open(root / 'data/SegmentationClass/img_002.png') as mask:
        mask = np.array(mask)
    background = {}
    for name in ('crf_1', 'crf_12'):
        planes, values = read_scores(tmp_path / f'{name}/img_002.{cam_format}')
        assert values.tolist() == [0, 1, 2]
        assert planes.shape == (3, *mask.shape)
        np.testing.assert_allclose(planes.sum(0), 1, atol=5e-3)
        background[name] = planes.argmax(0) == 0
    assert (background['crf_1'] | ~background['crf_12']).all(), 'a high alpha leaves less to the background'
    assert (background['crf_1'] == (mask == 0))[1:-1, 1:-1].mean() > .9


def test_a_full_disk_and_an_unreadable_image_are_named(root: Path, tmp_path: Path):
    (tmp_path / 'short_files.py').write_text(
        'import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (8192, resource.RLIM_INFINITY))\n')
    cfg = Config.fromfile(root / 'cfg.py')
    cfg.custom_imports.imports.append('short_files')
    result = run_tool(MAKE, write_config(cfg._cfg_dict.to_dict(), tmp_path / 'short.py'), root / 'model.pth',
                      '--save-cams', '--cam-format', 'npy', '--workers', '0', '--out-dir', tmp_path / 'full',
                      cwd=tmp_path, check=False, env={'PYTHONPATH': os.pathsep.join([warm_path(), str(tmp_path)])})
    assert result.returncode == 2
    assert re.match('make_pseudo_labels.py: the label of image img_000 could not be written .*too large.*resumes',
                    result.stdout.strip().splitlines()[-1])
    assert 'Traceback' not in result.stdout
    assert list(contents(tmp_path / 'full')) == ['pseudo_labels.json']

    shutil.copytree(root / 'data', tmp_path / 'data')
    (tmp_path / 'data/JPEGImages/img_003.jpg').write_bytes(b'no image')
    with pytest.raises(PseudoLabelError, match='image .*img_003.jpg .*cannot be processed'):
        call_tool(MAKE, root / 'cfg.py', root / 'model.pth', '--out-dir', tmp_path / 'out', '--workers', '0',
                  '--cfg-options', f'train_dataloader.dataset.dataset.data_root={tmp_path / "data"}')
    assert not [name for name in contents(tmp_path / 'out') if '/.' in f'/{name}']


def test_stored_maps_are_as_large_as_asked_for(root: Path, tmp_path: Path):
    for stride, shape in (('1', (40, 56)), ('3', (14, 19))):
        call_tool(MAKE, root / 'cfg.py', root / 'model.pth', '--out-dir', tmp_path / stride, '--save-cams',
                  '--cam-stride', stride)
        cams, channels = read_cams(tmp_path / stride / 'cams/img_002.npz')
        assert cams.shape == (2, *shape)
        assert channels.tolist() == [0, 1]
    with pytest.raises(ValueError, match="patches are.*'tokens'"):
        call_tool(MAKE, root / 'cfg.py', root / 'model.pth', '--out-dir', tmp_path / 'x', '--save-cams',
                  '--cam-stride', 'tokens')
    with pytest.raises(TypeError, match='ColorCAM: it is no mmseg segmentor'):
        call_tool(MAKE, root / 'cfg.py', root / 'model.pth', '--out-dir', tmp_path / 'x', '--source', 'segmentation')


def test_the_list_itself_gives_the_files_of_its_short_form(root: Path, tmp_path: Path):
    (tmp_path / 'list.py').write_text("""label_cfg = dict(
    source=dict(type='CAMSource'),
    steps=[dict(type='ConstantBackground', low=.5, high=.7), dict(type='DenseCRF', preset='mctformer_cam')],
    labeler=dict(type='MergeLevels'),
    outputs=dict(cams=dict(steps=[])))
""")
    common = (root / 'cfg.py', root / 'model.pth', '--workers', '0', '--label-cfg', tmp_path / 'list.py', '--out-dir')
    call_tool(MAKE, *common, tmp_path / 'out')
    assert contents(tmp_path / 'out') == contents(root / 'crf')
    with pytest.raises(ValueError, match='--label-cfg says all of it: leave out --threshold, --save-cams'):
        call_tool(MAKE, *common, tmp_path / 'x', '--threshold', '.4', '--save-cams')
    with pytest.raises(OutputError, match='contains .*list.py'):
        call_tool(MAKE, *common, tmp_path)


@pytest.mark.parametrize('name', ['data/SegmentationClass', 'data/JPEGImages', 'data', '.', 'data/JPEGImages/labels'])
def test_inputs_are_never_overwritten(root: Path, tmp_path: Path, name: str):
    for item in ('data', 'cfg.py', 'model.pth'):
        (shutil.copytree if item == 'data' else shutil.copyfile)(root / item, tmp_path / item)
    before = contents(tmp_path)
    for flags in ((), ('--overwrite', '--threshold', '.4'), ('--save-cams', )):
        with pytest.raises(OutputError, match='which this run reads and must not overwrite'):
            call_tool(MAKE, tmp_path / 'cfg.py', tmp_path / 'model.pth', '--out-dir', tmp_path / name, '--cfg-options',
                      f'train_dataloader.dataset.dataset.data_root={tmp_path / "data"}', *flags)
    assert contents(tmp_path) == before


def test_other_settings_and_wrong_arguments_are_refused(root: Path):
    common = (root / 'cfg.py', root / 'model.pth', '--out-dir', root / 'crf')
    with pytest.raises(ValueError, match='label_cfg.steps.0.levels is .0.5, 0.7. there and .0.5. now'):
        call_tool(MAKE, *common)
    with pytest.raises(FileNotFoundError, match='no checkpoint .*none.pth'):
        call_tool(MAKE, root / 'cfg.py', root / 'none.pth', '--out-dir', root / 'x')
    with pytest.raises(ValueError, match='no threshold'):
        call_tool(MAKE, root / 'cfg.py', root / 'model.pth', '--out-dir', root / 'x', '--cfg-options',
             'model.test_cfg.threshold=None')
    assert not (root / 'x').exists()
    result = run_tool(MAKE, *common, check=False)
    assert result.returncode == 2
    assert result.stdout.strip().splitlines()[-1].startswith('make_pseudo_labels.py: ')
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


def test_evaluation_of_labels(root: Path):
    found = evaluate(root, '--label-dir', root / 'crf')
    assert found['metrics']['pseudo/mIoU'] > 80
    assert found['metrics']['pseudo/mIoU'] == pytest.approx(np.mean(found['IoU']), abs=.01)
    assert found['classes'] == ['background', 'disc', 'bar']
    assert found['num_images'] == 6
    found = evaluate(root, '--cam-dir', root / 'crf/cams', '--threshold', '.5')
    assert 50 < found['metrics']['pseudo/mIoU'] <= found['metrics']['pseudo/oracle_mIoU']
