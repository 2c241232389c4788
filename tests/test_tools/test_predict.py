"""tools/predict.py: a folder of photographs and videos to masks, overlays and predictions.json."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from mmwsss.apis import init_model
from mmwsss.utils import OutputError
from mmwsss.utils.errors import UserError
from tests.color_cam import color_cam_config
from tests.helpers import PALETTE, call_tool, run_tool, write_config, write_voc_folder


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A config, a checkpoint, and a folder of photographs without masks and lists."""
    folder = tmp_path_factory.mktemp('trained')
    root = write_voc_folder(folder / 'voc')
    cfg = color_cam_config(root)
    config = write_config(cfg, folder / 'config.py')
    torch.save({'state_dict': init_model(config).state_dict(), 'meta': {}}, folder / 'model.pth')
    photos = folder / 'photos'
    shutil.copytree(root / 'JPEGImages', photos / 'trip')
    shutil.rmtree(root)  # predictions need no data set
    return config, folder / 'model.pth', photos


def read(out: Path) -> dict:
    return json.loads((out / 'predictions.json').read_text())


def test_a_folder_of_photographs(trained: tuple, tmp_path: Path, capsys):
    config, checkpoint, photos = trained
    out = tmp_path / 'out'
    call_tool('tools/predict.py', config, checkpoint, photos, '--out-dir', out, '--device', 'cpu')
    found = read(out)
    assert [entry['id'] for entry in found['images']] == [f'trip/img_{k:03d}' for k in range(9)]
    assert found['classes'] == ['background', 'disc', 'bar']
    for k, entry in enumerate(found['images']):
        mask = Image.open(out / entry['mask'])
        assert mask.mode == 'P'
        assert tuple(mask.getpalette()[3:6]) == PALETTE[1]
        values = set(np.unique(np.array(mask)).tolist()) - {0}
        assert values == {1, 2} if k % 3 == 2 else values == {k % 3 + 1}
        assert {item['label'] for item in entry['objects']} == values
        assert set(entry['scores']) == {'disc', 'bar'}
        assert Image.open(out / entry['overlay']).size == mask.size == (entry['width'], entry['height'])
    output = capsys.readouterr().out
    assert '9 photographs and 0 videos' in output
    # The same call again replaces its own files; a foreign file in the folder is never overwritten.
    call_tool('tools/predict.py', config, checkpoint, photos, '--out-dir', out, '--no-overlays')
    (out / 'masks/mine.png').touch()
    with pytest.raises(OutputError, match='mine.png'):
        call_tool('tools/predict.py', config, checkpoint, photos, '--out-dir', out)


def test_a_video(trained: tuple, tmp_path: Path):
    config, checkpoint, photos = trained
    clip = tmp_path / 'clip.avi'
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter_fourcc(*'MJPG'), 5, (56, 40))
    for path in sorted(photos.rglob('*.jpg'))[:4]:
        writer.write(cv2.imread(str(path)))
    writer.release()
    call_tool('tools/predict.py', config, checkpoint, clip, '--out-dir', tmp_path / 'out', '--max-frames', '3',
              '--batch-size', '2')
    entry, = read(tmp_path / 'out')['images']
    assert [sorted(item['class'] for item in frame['objects']) for frame in entry['frames']] == [
        ['disc'], ['bar'], ['bar', 'disc']]
    video = cv2.VideoCapture(str(tmp_path / 'out' / entry['video']))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    assert video.get(cv2.CAP_PROP_FPS) == 5
    read_one, frame = video.read()
    assert read_one
    assert frame.shape == (40, 56, 3)


def test_unreadable_photographs_are_skipped_and_reported(trained: tuple, tmp_path: Path):
    config, checkpoint, photos = trained
    shutil.copytree(photos, tmp_path / 'photos')
    (tmp_path / 'photos/broken.jpg').write_text('no picture')
    done = run_tool('tools/predict.py', config, checkpoint, tmp_path / 'photos', '--out-dir', tmp_path / 'out',
                    check=False)
    assert done.returncode == 2
    assert done.stdout.splitlines()[-1].startswith('predict.py: 1 of 10 inputs could not be read')
    found = read(tmp_path / 'out')
    assert len(found['images']) == 9
    assert 'broken.jpg cannot be read' in found['failed'][0]['error']


@pytest.mark.parametrize(('changes', 'error', 'message'), [
    (dict(checkpoint='no.pth'), FileNotFoundError, 'no checkpoint'),
    (dict(inputs='no/photos'), UserError, 'does not exist'),
    (dict(out='photos'), OutputError, 'must not overwrite'),
    (dict(extra=('--labels', 'cat')), UserError, "no class 'cat'"),
    (dict(extra=('--batch-size', '0')), UserError, '--batch-size'),
])
def test_wrong_input_ends_with_one_error(trained: tuple, tmp_path: Path, changes: dict, error: type, message: str):
    config, checkpoint, photos = trained
    out = photos if changes.get('out') else tmp_path / 'out'
    with pytest.raises(error, match=message):
        call_tool('tools/predict.py', config, changes.get('checkpoint', checkpoint), changes.get('inputs', photos),
                  '--out-dir', out, *changes.get('extra', ()))
    assert not (tmp_path / 'out').exists()
