"""tools/model_converters/official2mmwsss.py, from the authors' file to a model that uses it."""

import argparse
import io
import os
import re

import pytest
import torch
from rich.console import Console

from mmwsss.apis import init_model
from mmwsss.checkpoints import read_checkpoint
from mmwsss.utils import OutputError

from ..helpers import load_tool, run_tool
from ..official_checkpoints import (
    class_token_shapes,
    conformer_shapes,
    mctformer_plus_shapes,
    random_weights,
    toco_shapes,
    vit_shapes,
)

SCRIPT = 'tools/model_converters/official2mmwsss.py'
SMALL = dict(width=48, depth=4, mlp=96, classes=10, grid=4)


@pytest.fixture(scope='module')
def tool():
    return load_tool(SCRIPT)


@pytest.fixture(scope='module')
def small_toco():
    return random_weights(toco_shapes(num_classes=2, hidden=32, bottleneck=16, out=24, channels=8, **SMALL))


@pytest.fixture(scope='module')
def converted(tool, small_toco, tmp_path_factory):
    folder = tmp_path_factory.mktemp('toco')
    torch.save(small_toco, folder / 'official.pth')
    run_tool(SCRIPT, 'toco', folder / 'official.pth', folder / 'mmwsss.pth')
    return torch.load(folder / 'mmwsss.pth', weights_only=True)


def test_file_holds_the_same_numbers_under_our_names(small_toco, converted):
    state = converted['state_dict']
    for ours, theirs in {
            'backbone.pos_embed': 'encoder.pos_embed',
            'backbone.layers.2.ffn.layers.0.0.bias': 'encoder.blocks.2.mlp.fc1.bias',
            'cam_head.classifier.weight': 'classifier.weight', 'decode_head.conv_seg.weight': 'decoder.conv8.weight',
            'projector.weight_v': 'proj_head.last_layer.weight_v', 'projector.mlp.4.bias': 'proj_head.mlp.4.bias',
            'teacher_projector.weight_v': 'proj_head_t.last_layer.weight_v'}.items():
        assert torch.equal(state[ours], small_toco[f'module.{theirs}'])
    assert len(state) == len(small_toco) - 2
    assert converted['meta']['method'] == 'toco'
    assert len(converted['meta']['source_sha256']) == 64


def convert(tool, method, content, folder):
    """Save ``content``, convert it, and return what was printed."""
    torch.save(content, folder / 'official.pth')
    text = io.StringIO()
    tool.convert(method, str(folder / 'official.pth'), str(folder / 'out.pth'), Console(file=text, width=160))
    return text.getvalue()


def test_what_was_mapped_is_printed(tool, small_toco, tmp_path):
    lines = convert(tool, 'toco', small_toco, tmp_path).splitlines()
    row = next(line for line in lines if 'decode_head.conv_seg.weight' in line)
    assert 'decoder.conv8.weight' in row
    assert '24' in row, '3 classes of 8 channels'
    assert any('(dropped)' in line and 'head' in line and '490' in line for line in lines)
    assert any('kept' in line and str(len(small_toco) - 2) in line for line in lines)


def test_backbone_start(tool, tmp_path):
    weights = random_weights(vit_shapes(**SMALL))
    convert(tool, 'deit', dict(model=weights), tmp_path)
    state = torch.load(tmp_path / 'out.pth', weights_only=True)['state_dict']
    assert torch.equal(state['backbone.layers.0.attn.qkv.weight'], weights['blocks.0.attn.qkv.weight'])

    from mmwsss.registry import MODELS
    arch = dict(embed_dims=48, num_layers=4, num_heads=4, feedforward_channels=96)
    model = MODELS.build(dict(type='AttentionViT', arch=arch, img_size=64, patch_size=16, init_cfg=dict(
        type='Pretrained', checkpoint=str(tmp_path / 'out.pth'), prefix='backbone.')))
    model.init_weights()
    assert torch.equal(model.pos_embed, weights['pos_embed'])
    assert torch.equal(model.ln1.bias, weights['norm.bias'])


def test_safetensors_on_demand(tool, small_toco, tmp_path):
    torch.save(small_toco, tmp_path / 'official.pth')
    for suffix in ('.pth', '.safetensors'):
        tool.convert('toco', f'{tmp_path}/official.pth', f'{tmp_path}/out{suffix}', Console(file=io.StringIO()))
    expected, found = (read_checkpoint(tmp_path / f'out{suffix}') for suffix in ('.pth', '.safetensors'))
    assert found['meta'] == expected['meta']
    assert found['state_dict'].keys() == expected['state_dict'].keys()
    assert all(torch.equal(found['state_dict'][key], value) for key, value in expected['state_dict'].items())
    tool.convert('toco', f'{tmp_path}/official.pth', f'{tmp_path}/again.safetensors', Console(file=io.StringIO()))
    assert (tmp_path / 'again.safetensors').read_bytes() == (tmp_path / 'out.safetensors').read_bytes()


LOST = {
    'a block': (r'blocks\.2\.', r'official.pth is not a checkpoint of DeiT.* incomplete: 12 .*layers\.2\.attn\.proj'),
    'a part of the last block': (r'blocks\.3\.mlp', r'incomplete: 4 .*backbone\.layers\.3\.ffn\.layers\.0'),
    'the first block': (r'blocks\.0\.', 'layers.0.attn'),
    'the norm': (r'norm\.', r"it lacks 'norm"),
}


@pytest.mark.parametrize('kind', LOST)
def test_incomplete_checkpoints_are_refused(tool, tmp_path, kind):
    lost, message = LOST[kind]
    weights = {name: value for name, value in random_weights(vit_shapes(**SMALL)).items() if not re.match(lost, name)}
    with pytest.raises(ValueError, match=message):
        convert(tool, 'deit', weights, tmp_path)
    assert not (tmp_path / 'out.pth').exists()


def test_an_unusual_depth_is_said(tool, tmp_path):
    sizes = dict(SMALL, width=8, mlp=8)
    assert 'has 11 transformer blocks, where published' in convert(
        tool, 'deit', random_weights(vit_shapes(**dict(sizes, depth=11))), tmp_path)
    assert 'transformer blocks' not in convert(
        tool, 'deit', random_weights(vit_shapes(**dict(sizes, depth=12))), tmp_path)


def test_weights_that_are_not_finite_are_refused(tool, tmp_path):
    weights = random_weights(vit_shapes(**SMALL))
    weights['norm.bias'][3] = float('inf')
    with pytest.raises(ValueError, match=r'official\.pth has weights that are not finite: norm\.bias'):
        convert(tool, 'deit', weights, tmp_path)


@pytest.mark.parametrize('content', [
    dict(model={'a': torch.zeros(1)}),
    dict(model=random_weights(vit_shapes(**SMALL)), args=argparse.Namespace(lr=1)),
    [1, 2],
], ids=['other names', 'other objects', 'no dict'])
def test_what_is_refused_leaves_no_file(tool, tmp_path, content):
    with pytest.raises(ValueError, match='checkpoint'):
        convert(tool, 'deit', content, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ['official.pth']


@pytest.mark.parametrize('name', ['official.pth', './official.pth', 'sub/../official.pth', 'link.pth', 'hard.pth'])
def test_the_authors_file_is_never_overwritten(tool, small_toco, tmp_path, name):
    torch.save(small_toco, tmp_path / 'official.pth')
    (tmp_path / 'sub').mkdir()
    (tmp_path / 'link.pth').symlink_to(tmp_path / 'official.pth')
    os.link(tmp_path / 'official.pth', tmp_path / 'hard.pth')
    before = (tmp_path / 'official.pth').read_bytes()
    with pytest.raises(OutputError, match='DST .* is the same as .*official.pth'):
        tool.convert('toco', str(tmp_path / 'official.pth'), f'{tmp_path}/{name}', Console())
    assert (tmp_path / 'official.pth').read_bytes() == before


def test_missing_file_and_unknown_method(tool, tmp_path, monkeypatch, capsys):
    with pytest.raises(FileNotFoundError, match=r'nowhere\.pth'):
        tool.convert('toco', str(tmp_path / 'nowhere.pth'), str(tmp_path / 'out.pth'), Console())
    monkeypatch.setattr('sys.argv', [SCRIPT, 'tico', 'a', 'b'])
    with pytest.raises(SystemExit):
        tool.parse_args()
    assert "invalid choice: 'tico'" in capsys.readouterr().err


def test_full_size_toco_loads_and_gives_finite_cams(tool, tmp_path):
    """The published layout, all 105,625,320 numbers: nothing missing, nothing unexpected, any input size."""
    weights = random_weights(toco_shapes())
    convert(tool, 'toco', weights, tmp_path)
    (tmp_path / 'official.pth').unlink()
    model = init_model('configs/toco/toco_vit-b_voc.py', str(tmp_path / 'out.pth'))
    (tmp_path / 'out.pth').unlink()
    assert torch.equal(model.backbone.layers[11].ln2.weight, weights['module.encoder.blocks.11.norm2.weight'])
    generator = torch.Generator().manual_seed(1)
    for height, width in ((224, 224), (448, 448), (375, 500)):
        with torch.no_grad():
            out = model.extract_cams(torch.randn(1, 3, height, width, generator=generator))
        for key, channels in (('cams', 20), ('aux_cams', 20), ('seg_logits', 21)):
            assert out[key].shape == (1, channels, height // 16, width // 16)
            assert out[key].isfinite().all()
            assert out[key].std() > 0


@pytest.mark.parametrize(('version', 'dataset', 'num_classes', 'parameters'), [
    (1, 'voc', 20, 21_687_956), (2, 'voc', 20, 21_749_396), (2, 'coco', 80, 22_002_896)])
def test_full_size_mctformer_loads_and_gives_finite_cams(tool, tmp_path, version, dataset, num_classes, parameters):
    """The published layout of 152 tensors: nothing missing, nothing unexpected, any input size."""
    weights = random_weights(class_token_shapes(num_classes, head_taps=(3, 3) if version == 2 else ()))
    assert len(weights) == 152
    assert sum(value.numel() for value in weights.values()) == parameters
    printed = convert(tool, f'mctformer-v{version}', dict(model=weights, epoch=59), tmp_path)
    assert f'{parameters:,}' in printed
    model = init_model(f'configs/mctformer/mctformer-v{version}_deit-s_{dataset}.py', str(tmp_path / 'out.pth'))
    assert sum(value.numel() for value in model.parameters()) == parameters
    head = model.cam_head.patch_classifier if version == 2 else model.cam_head.fc
    assert torch.equal(head.weight, weights['head.weight'])
    assert torch.equal(model.backbone.pos_embed, weights['pos_embed'])
    assert torch.equal(model.backbone.layers[11].ffn.layers[1].bias, weights['blocks.11.mlp.fc2.bias'])
    for height, width in ((224, 224), (150, 211)):
        found = model.extract_cams(torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(1)))
        assert found['cams'].shape == (1, num_classes, height // 16, width // 16)
        assert found['cams'].isfinite().all()
        assert found['cams'].std() > 0


@pytest.mark.parametrize(('config', 'grid'), [('aream-v1_deit-s_voc', 14), ('aream_deit-s_voc', 28)])
def test_full_size_aream_loads_and_gives_finite_cams(tool, tmp_path, config, grid):
    """AReAM has MCTformer-V2's 152 tensors at either size, and adds none."""
    weights = random_weights(class_token_shapes(20, grid=grid))
    convert(tool, 'aream', dict(epoch=59, model=weights), tmp_path)
    model = init_model(f'configs/aream/{config}.py', str(tmp_path / 'out.pth'))
    assert len(model.state_dict()) == len(weights) == 152
    assert torch.equal(model.cam_head.patch_classifier.weight, weights['head.weight'])
    assert torch.equal(model.backbone.pos_embed, weights['pos_embed'])
    found = model.extract_cams(torch.randn(1, 3, 160, 224, generator=torch.Generator().manual_seed(1)))
    assert set(found) == {'logits', 'patch_logits', 'patch_cams', 'raw_cams', 'cams'}
    for name in ('patch_cams', 'raw_cams', 'cams'):
        assert found[name].shape == (1, 20, 10, 14)
        assert found[name].isfinite().all()
        assert found[name].std() > 0


def test_full_size_transcam_loads_and_gives_finite_cams(tool, tmp_path):
    """The published layout of 718 entries: nothing missing, nothing unexpected, any input size."""
    weights = random_weights(conformer_shapes())
    convert(tool, 'transcam', weights, tmp_path)
    model = init_model('configs/transcam/transcam_conformer-s_voc.py', str(tmp_path / 'out.pth'))
    assert len(model.state_dict()) == len(weights) == 718
    assert sum(value.numel() for value in model.parameters()) == 36_465_066
    assert torch.equal(model.cam_head.conv_cls_head.weight, weights['conv_cls_head.weight'])
    assert torch.equal(model.backbone.trans_1.ln2.bias, weights['trans_1.norm2.bias'])
    for height, width in ((96, 96), (75, 100)):
        found = model.extract_cams(torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(1)))
        assert set(found) == {'logits', 'conv_logits', 'trans_logits', 'conv_cams', 'cams'}
        for name in ('conv_cams', 'cams'):
            assert found[name].shape == (1, 20, -(-height // 16), -(-width // 16))
            assert found[name].isfinite().all()
            assert found[name].std() > 0


def test_full_size_aream_on_conformer_loads(tool, tmp_path):
    shapes = conformer_shapes(20, conv_head=(1, 1))
    weights = random_weights({name.replace('conv_cls_head', 'cnn_head').replace('trans_cls_head', 'att_head'): shape
                              for name, shape in shapes.items()})
    convert(tool, 'aream-conformer', dict(epoch=11, model=weights), tmp_path)
    model = init_model('configs/aream/aream_conformer-s_voc.py', str(tmp_path / 'out.pth'))
    assert len(model.state_dict()) == len(weights)
    assert torch.equal(model.cam_head.conv_cls_head.weight, weights['cnn_head.weight'])
    assert model.extract_cams(torch.randn(1, 3, 75, 100))['cams'].shape == (1, 20, 5, 7)


def test_conformer_start_loads_into_the_configured_backbone(tool, tmp_path):
    weights = random_weights(conformer_shapes(1000, channels=(64, 128, 256), conv_head=()))
    convert(tool, 'conformer-imagenet', dict(model=weights), tmp_path)
    from mmengine.config import Config

    from mmwsss.registry import MODELS
    cfg = Config.fromfile('configs/transcam/transcam_conformer-ti_voc.py').model.backbone
    cfg.init_cfg.checkpoint = str(tmp_path / 'out.pth')
    backbone = MODELS.build(cfg)
    backbone.init_weights()
    assert torch.equal(backbone.conv_trans_12.fusion_block.residual_bn.running_var,
                       weights['conv_trans_12.fusion_block.residual_bn.running_var'])
    assert torch.equal(backbone.trans_1.ffn.layers[1].weight, weights['trans_1.mlp.fc2.weight'])


def test_versions_of_mctformer_are_told_apart(tool, tmp_path):
    second = random_weights(class_token_shapes(2, 48, depth=1, mlp=96, grid=4))
    with pytest.raises(ValueError, match=r"V1: 1 weights have no place: 'head\.weight'; it lacks 'head\.weight'"):
        convert(tool, 'mctformer-v1', dict(model=second), tmp_path)
    with pytest.raises(ValueError, match='MCTformer-V2'):
        convert(tool, 'mctformer-v2', dict(model={**second, 'head.weight': torch.zeros(2, 48)}), tmp_path)
    convert(tool, 'mctformer-v2', dict(model=second), tmp_path)


def test_full_size_mctformer_plus_loads(tool, tmp_path):
    """Two position embeddings become one, a third is left out."""
    weights = random_weights(mctformer_plus_shapes())
    convert(tool, 'mctformer-plus', dict(epoch=44, model=weights), tmp_path)
    model = init_model('configs/mctformer/mctformer-plus_deit-s_voc.py', str(tmp_path / 'out.pth'))
    assert torch.equal(model.backbone.pos_embed[:, :20], weights['pos_embed_cls'])
    assert torch.equal(model.backbone.pos_embed[:, 20:], weights['pos_embed_pat'])
    found = model.extract_cams(torch.randn(1, 3, 75, 100))
    assert found['cams'].shape == (1, 20, 4, 6)
    assert found['cams'].isfinite().all()


def test_mctformer_plus_and_version_2_are_told_apart(tool, tmp_path):
    second = random_weights(class_token_shapes(2, 48, depth=1, mlp=96, grid=4))
    with pytest.raises(ValueError, match=r"it lacks 'pos_embed_cls \+ pos_embed_pat'. Its weights are those of METHOD "
                                         r'mctformer-v2 \(MCTformer-V2\) or aream'):
        convert(tool, 'mctformer-plus', dict(model=second), tmp_path)
    plus = random_weights(mctformer_plus_shapes(2, 48, depth=1, mlp=96, grid=4))
    with pytest.raises(ValueError, match=r"'pos_embed_cls', 'pos_embed_pat'(.|\n)*METHOD mctformer-plus \(MCTformer\+"):
        convert(tool, 'mctformer-v2', dict(model=plus), tmp_path)
