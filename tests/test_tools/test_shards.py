"""tools/make_pseudo_labels.py --shard: several runs that fill one folder."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config

from mmwsss.apis import Shard, init_model
from tests.color_cam import color_cam_config
from tests.fork_server import warm_path
from tests.helpers import REPO, call_tool, tool_environment, write_config, write_voc_folder

MAKE = 'tools/make_pseudo_labels.py'
SHARDS, IMAGES = 8, 26
KILLED = (2, 7)
SLOW_CAM = '''
import os
import time

from mmwsss.registry import MODELS
from tests.color_cam import ColorCAM


@MODELS.register_module()
class SlowCAM(ColorCAM):

    def predict_cams(self, *args, **kwargs):
        time.sleep(float(os.environ.get('MMWSSS_SLOW', '0')))
        return super().predict_cams(*args, **kwargs)
'''


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, the config of a model that can be slow, the module of the model, and a checkpoint."""
    root = tmp_path_factory.mktemp('shards')
    cfg = Config(color_cam_config(write_voc_folder(root / 'data', num_train=IMAGES, num_val=1)))
    torch.save({'state_dict': init_model(cfg).state_dict()}, root / 'model.pth')
    (root / 'slow_cam.py').write_text(SLOW_CAM)
    cfg.model.type = 'SlowCAM'
    cfg.custom_imports.imports.append('slow_cam')
    write_config(cfg._cfg_dict.to_dict(), root / 'cfg.py')
    return root


def arguments(root: Path, out: Path) -> list:
    return [root / 'cfg.py', root / 'model.pth', '--save-cams', '--workers', '0', '--out-dir', out]


def start_shard(root: Path, out: Path, index: int, slow: float = 0) -> subprocess.Popen:
    """Start a shard as a process of its own."""
    environment = {**tool_environment(), 'MMWSSS_SLOW': str(slow),
                   'PYTHONPATH': os.pathsep.join([warm_path(), str(root)])}
    command = [sys.executable, REPO / MAKE, *arguments(root, out), '--shard', f'{index}/{SHARDS}']
    return subprocess.Popen(list(map(str, command)), env=environment, cwd=root, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT)


def own_labels(out: Path, index: int) -> list[bool]:
    """Return which label maps of a shard are there."""
    return [(out / f'img_{k:03d}.png').exists() for k in range(index - 1, IMAGES, SHARDS)]


def wait_for_first_label(out: Path, index: int) -> None:
    limit = time.monotonic() + 300
    while not any(own_labels(out, index)):
        assert time.monotonic() < limit
        time.sleep(.01)


def assert_ended(processes: Sequence[subprocess.Popen]) -> None:
    for process in processes:
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def test_eight_shards_of_which_two_are_killed_and_started_again(root: Path, tmp_path: Path,
                                                                monkeypatch: pytest.MonkeyPatch,
                                                                capsys: pytest.CaptureFixture):
    out = tmp_path / 'shards'
    shards = {index: start_shard(root, out, index, slow=2 if index in KILLED else 0) for index in range(1, SHARDS + 1)}
    for index in KILLED:
        wait_for_first_label(out, index)
        shards[index].kill()
        shards[index].communicate()
    assert_ended([shards[index] for index in shards if index not in KILLED])
    assert [all(own_labels(out, index)) for index in shards] == [index not in KILLED for index in shards]
    assert not (out / 'results.json').exists()

    assert_ended([start_shard(root, out, index) for index in KILLED])
    assert all(all(own_labels(out, index)) for index in shards)
    monkeypatch.syspath_prepend(root)
    call_tool(MAKE, *arguments(root, out))
    assert '0 made in' in capsys.readouterr().out
    call_tool(MAKE, *arguments(root, tmp_path / 'whole'))
    assert contents(out) == contents(tmp_path / 'whole')
    assert len(contents(out)) == 2 * IMAGES + 2


@pytest.mark.parametrize(('count', 'world_size'), [(1, 1), (8, 1), (3, 2), (30, 1), (4, 9)])
def test_every_image_is_that_of_one_process(count: int, world_size: int):
    shards = [Shard.parse(f'{index}/{count}') for index in range(1, count + 1)]
    shares = [list(shard.images(IMAGES, rank, world_size)) for shard in shards for rank in range(world_size)]
    assert sorted(sum(shares, [])) == list(range(IMAGES))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert sorted(shards[0].images(IMAGES)) == sorted(sum(shares[:world_size], []))


def call_shard(root: Path, out: Path, shard: str, *more: Any) -> None:
    call_tool(MAKE, *arguments(root, out), '--shard', shard, *more)


def test_the_summary_is_that_of_the_shard(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                          capsys: pytest.CaptureFixture):
    monkeypatch.syspath_prepend(root)
    call_shard(root, tmp_path, '1/5')
    output = capsys.readouterr().out
    assert '6 label maps of shard 1/5 in' in output
    assert '6 made in' in output
    assert 'without --shard' in output
    call_shard(root, tmp_path, '1/10')
    assert '0 made in' in capsys.readouterr().out, 'the number of shards may change'
    call_shard(root, tmp_path, '2/10')
    assert '3 made in' in capsys.readouterr().out


@pytest.mark.parametrize(('shard', 'message'), [
    ('0/8', 'from 1/N to N/N'), ('9/8', 'from 1/N to N/N'), ('1/0', 'from 1/N to N/N'), ('3', 'I/N'), ('a/b', 'I/N'),
    ('-1/8', 'I/N')])
def test_what_is_no_shard_is_refused(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture, shard: str,
                                     message: str):
    with pytest.raises(SystemExit, match='2'):
        call_tool(MAKE, *arguments(root, tmp_path), f'--shard={shard}')
    assert message in capsys.readouterr().err
    assert not contents(tmp_path)


def test_shards_with_other_settings_or_images_are_refused(root: Path, tmp_path: Path,
                                                          monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(root)
    (tmp_path / 'few.txt').write_text('img_000\nimg_004\n')
    call_shard(root, tmp_path / 'out', '1/2', '--split', tmp_path / 'few.txt')
    before = contents(tmp_path / 'out')
    with pytest.raises(ValueError, match='other settings'):
        call_shard(root, tmp_path / 'out', '2/2', '--split', tmp_path / 'few.txt', '--threshold', '.6')
    with pytest.raises(ValueError, match='24 of 26'):
        call_shard(root, tmp_path / 'out', '2/2')
    with pytest.raises(ValueError, match='--overwrite'):
        call_shard(root, tmp_path / 'out', '2/2', '--overwrite')
    assert contents(tmp_path / 'out') == before
