"""tools/export_onnx.py: files that onnxruntime runs as PyTorch runs the model, and nothing left of a failure."""

import importlib.util
import json
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from mmwsss.apis import export_onnx, init_model, onnx_export
from mmwsss.models.utils import resize_maps
from mmwsss.utils.errors import UserError
from tests.helpers import call_tool, tiny_runner_cfg, write_config

onnx = pytest.importorskip('onnx')
runtime = pytest.importorskip('onnxruntime')

TOOL = 'tools/export_onnx.py'
FREE = {
    'cam': 'cam/cam_vit-micro_sample.py',
    'toco': 'toco/toco_vit-micro_sample.py',
    'mctformer-v1': 'mctformer/mctformer-v1_vit-micro_sample.py',
    'mctformer-v2': 'mctformer/mctformer-v2_vit-micro_sample.py',
    'aream': 'aream/aream_vit-micro_sample.py',
    'transcam': 'transcam/transcam_conformer-micro_sample.py',
    'deeplab-v1': 'deeplab/deeplabv1_wr38-micro_sample.py',
    'deeplab-v2': 'deeplab/deeplabv2_r18_sample.py',
}
FIXED = {
    'weaktr': 'weaktr/weaktr_vit-micro_sample.py',
    'segmenter': 'weaktr/weaktr-retrain_vit-micro_sample.py',
}


def small_model(name: str) -> nn.Module:
    """Build a model whose weights differ from those of initialization, some of which are zero."""
    model = init_model(f'configs/{name}')
    torch.manual_seed(0)
    for parameter in model.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    return model


def run(path: Path, images: torch.Tensor) -> dict[str, torch.Tensor]:
    session = runtime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    names = [output.name for output in session.get_outputs()]
    return {name: torch.from_numpy(value) for name, value in zip(names, session.run(None, {'images': images.numpy()}))}


def assert_same_cams(model: nn.Module, path: Path, shape: tuple[int, ...]) -> None:
    images = torch.randn(shape, generator=torch.Generator().manual_seed(5))
    found, expected = run(path, images), model.predict_cams(images, scales=(1., ), flip=False)
    for name in ('logits', 'cams'):
        torch.testing.assert_close(found[name], expected[name], rtol=1e-3, atol=1e-3)


@torch.no_grad()
def assert_same_segmentation(model: nn.Module, path: Path, shape: tuple[int, ...]) -> None:
    images = torch.randn(shape, generator=torch.Generator().manual_seed(5))
    expected = resize_maps(model(images, mode='tensor'), shape[2:], align_corners=model.align_corners)
    torch.testing.assert_close(run(path, images)['seg_logits'], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('name', FREE)
def test_sizes_are_free(name: str, tmp_path: Path):
    model = small_model(FREE[name])
    for source in ('seg', 'cam') if name == 'toco' else (None, ):
        path = tmp_path / f'{source}.onnx'
        file = export_onnx(model, path, source, size=(48, 64), exporter='torchscript')
        assert file.size is None, file.reason
        segments = source == 'seg' or name.startswith('deeplab')
        compare = assert_same_segmentation if segments else assert_same_cams
        compare(model, path, (1, 3, 88, 72))
        compare(model, path, (3, 3, 56, 120))
        compare(model, path, (1, 3, 64, 64))  # the grid of the position embedding, which is then not resized


@pytest.mark.parametrize('name', FIXED)
def test_the_size_is_fixed_where_a_free_one_cannot_be_recorded(name: str, tmp_path: Path):
    model, path = small_model(FIXED[name]), tmp_path / 'model.onnx'
    file = export_onnx(model, path, size=(45, 64), exporter='torchscript')
    assert file.size == (48, 64)
    assert file.reason == 'torchscript cannot record this model for free sizes'
    compare = assert_same_segmentation if name == 'segmenter' else assert_same_cams
    compare(model, path, (1, 3, 48, 64))
    with pytest.raises(Exception, match='invalid dimensions'):
        run(path, torch.zeros(1, 3, 64, 64))


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the config and the checkpoint of a small segmentor."""
    folder = tmp_path_factory.mktemp('trained')
    config = write_config(tiny_runner_cfg(folder / 'voc', folder / 'work'), folder / 'config.py')
    torch.save({'state_dict': init_model(config).state_dict(), 'meta': {}}, folder / 'model.pth')
    return config, folder / 'model.pth'


def test_dynamo_follows_where_torchscript_fails(trained: tuple, tmp_path: Path, monkeypatch):
    pytest.importorskip('onnxscript')
    model = init_model(*trained)
    write = onnx_export._write

    def write_unless_torchscript(graph: nn.Module, path: Path, size: tuple, exporter: str, free: bool) -> None:
        if exporter == 'torchscript':
            raise UserError('the first exporter fails')
        write(graph, path, size, exporter, free)

    monkeypatch.setattr(onnx_export, '_write', write_unless_torchscript)
    file = export_onnx(model, tmp_path / 'model.onnx', size=(32, 40))
    assert (file.exporter, file.size) == ('dynamo', None)
    assert_same_segmentation(model, tmp_path / 'model.onnx', (1, 3, 43, 37))


def test_the_tool_writes_what_the_file_needs_to_be_used(trained: tuple, tmp_path: Path, capsys):
    path = tmp_path / 'model.onnx'
    call_tool(TOOL, *trained, '--out', path, '--exporter', 'torchscript')
    meta = runtime.InferenceSession(str(path)).get_modelmeta().custom_metadata_map
    meta = {key: json.loads(value) for key, value in meta.items()}
    assert meta['classes'] == ['background', 'disc', 'bar']
    assert meta['palette'] == [[0, 0, 0], [220, 60, 40], [40, 90, 220]]
    assert (meta['source'], meta['channels'], meta['size'], meta['size_multiple']) == ('seg', 'RGB', None, 1)
    assert meta['mean'] == pytest.approx([123.675, 116.28, 103.53])
    assert meta['std'] == pytest.approx([58.395, 57.12, 57.375])
    assert meta['config'] == 'config.py'
    output = capsys.readouterr().out
    assert 'images of any size, in batches of any size' in output
    assert 'largest differences from the model: seg_logits' in output


def test_fixed_sizes_and_no_check_on_request(trained: tuple, tmp_path: Path, capsys):
    path = tmp_path / 'model.onnx'
    call_tool(TOOL, *trained, '--out', path, '--exporter', 'torchscript', '--no-check', '--size', 40, 50)
    output = capsys.readouterr().out
    assert 'single images of 40 x 50 pixels' in output
    assert 'not compared with the model' in output
    assert run(path, torch.zeros(1, 3, 40, 50))['seg_logits'].shape == (1, 3, 40, 50)
    file = export_onnx(init_model(*trained), tmp_path / 'fixed.onnx', size=(40, 50), fixed=True,
                       exporter='torchscript')
    assert (file.size, file.reason) == ((40, 50), '')
    assert file.differences['seg_logits'] < 1e-4


def test_without_onnxruntime_the_size_is_fixed(trained: tuple, tmp_path: Path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None if name == 'onnxruntime' else find(name))
    file = export_onnx(init_model(*trained), tmp_path / 'model.onnx', exporter='torchscript')
    assert (file.size, file.differences) == ((32, 32), None)
    assert 'onnxruntime' in file.reason


def test_a_wrong_file_is_not_kept(trained: tuple, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(onnx_export, 'TOLERANCE', -1.)
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(UserError, match='gives other seg_logits than the model'):
        call_tool(TOOL, *trained, '--out', tmp_path / 'model.onnx', '--exporter', 'torchscript')
    assert sorted(os.listdir(tmp_path)) == before


def test_bad_requests_are_refused(trained: tuple, tmp_path: Path, monkeypatch):
    (tmp_path / 'there.onnx').write_text('mine')
    with pytest.raises(UserError, match='exists already'):
        call_tool(TOOL, *trained, '--out', tmp_path / 'there.onnx')
    with pytest.raises(UserError, match=r'must end with \.onnx'):
        call_tool(TOOL, *trained, '--out', tmp_path / 'model.pth')
    with pytest.raises(UserError, match='gives no CAMs'):
        call_tool(TOOL, *trained, '--out', tmp_path / 'x.onnx', '--source', 'cam')
    with pytest.raises(UserError, match='predicts neither'):
        export_onnx(init_model('configs/psa/psa_wr38-micro_sample.py'), tmp_path / 'x.onnx')
    with pytest.raises(UserError, match="exporter must be one of torchscript, dynamo, got 'x'"):
        export_onnx(init_model(*trained), tmp_path / 'x.onnx', exporter='x')
    importing = importlib.import_module

    def without_onnx(name: str):
        if name == 'onnx':
            raise ImportError(name)
        return importing(name)

    monkeypatch.setattr(importlib, 'import_module', without_onnx)
    with pytest.raises(UserError, match='pip install onnx'):
        export_onnx(init_model(*trained), tmp_path / 'x.onnx')
