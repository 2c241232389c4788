"""tools/analyze.py: analyses of models, their files and figures."""

import json

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmwsss.apis import checkpoint_hash
from mmwsss.registry import MODELS
from tests.color_cam import color_cam_config
from tests.helpers import call_tool, write_config, write_voc_folder

SCRIPT = 'tools/analyze.py'
LAYERS = 3


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """A folder with data, the config of a small MCTformer-V2 and a checkpoint of it."""
    root = tmp_path_factory.mktemp('analyze')
    cfg = color_cam_config(write_voc_folder(root / 'data'))
    arch = dict(embed_dims=16, num_layers=LAYERS, num_heads=2, feedforward_channels=16)
    cfg['model'] = dict(
        type='CAMClassifier',
        data_preprocessor=cfg['model']['data_preprocessor'],
        backbone=dict(type='AttentionViT', arch=arch, img_size=32, patch_size=8, num_class_tokens=2, raw_output=True),
        cam_head=dict(type='MCTformerHead', num_classes=2, in_channels=16, attention_layers=2),
        test_cfg=dict(threshold=.3, cams=dict(flip=True, flip_fusion='sum', normalize='minmax')))
    write_config(cfg, root / 'mct.py')
    init_default_scope('mmwsss')
    torch.manual_seed(0)
    model = MODELS.build(Config(cfg).model)
    model.init_weights()
    torch.save(dict(state_dict=model.state_dict(), meta={}), root / 'mct.pth')
    return root


def analyze(root, name, *args):
    call_tool(SCRIPT, name, root / 'mct.py', root / 'mct.pth', *args, '--out', root / 'out')
    return json.loads((root / 'out' / f'{name}.json').read_text())


def test_what_the_file_says(root, capsys):
    record = analyze(root, 'token-similarity', root / 'mct.py', 'start', '--labels', 'trained,start', '--split',
                     'train', '--options', 'absolute=True')
    assert (record['analysis'], record['split'], record['seed']) == ('token-similarity', 'train', 0)
    assert record['options'] == {'absolute': True, 'raw': False}
    trained, start = record['runs']
    assert (trained['label'], trained['num_images'], start['sha256']) == ('trained', 6, None)
    assert trained['sha256'] == checkpoint_hash(root / 'mct.pth')
    assert trained['input_sizes'] == [[40, 56]]
    assert trained['peak_memory_mib'] >= 0
    assert len(trained['data']['mean']) == LAYERS
    assert (root / 'out/token-similarity.png').stat().st_size
    assert 'last layer' in capsys.readouterr().out


def test_images_are_evenly_spaced(root):
    run, = analyze(root, 'token-similarity', '--split', 'train', '--max-images', 3)['runs']
    assert run['images'] == ['img_000', 'img_002', 'img_004']


def test_size_of_the_input(root):
    run, = analyze(root, 'token-similarity', '--size', '32,24')['runs']
    assert run['input_sizes'] == [[32, 24]]


def test_redraw(root):
    analyze(root, 'token-similarity')
    call_tool(SCRIPT, '--redraw', root / 'out/token-similarity.json', '--out', root / 'again', '--format', 'pdf')
    assert (root / 'again/token-similarity.pdf').read_bytes().startswith(b'%PDF')


def test_list(capsys):
    call_tool(SCRIPT, '--list')
    assert 'token-similarity' in capsys.readouterr().out


@pytest.mark.parametrize(('args', 'complaint'), [
    (['token-similarities', 'mct.py', 'mct.pth'], "did you mean 'token-similarity'"),
    (['token-similarity', 'mct.py'], 'no checkpoint'),
    (['token-similarity', 'mct.py', 'nowhere.pth'], 'nowhere.pth'),
    (['token-similarity', 'mct.py', 'mct.pth', '--options', 'absolut=1'], 'absolute'),
    (['token-similarity', 'mct.py', 'mct.pth', '--labels', 'a,b'], '--labels'),
    (['token-similarity', 'mct.py', 'mct.pth', 'mct.py', 'mct.pth'], '--labels'),
])
def test_refusals(root, monkeypatch, args, complaint):
    monkeypatch.chdir(root)
    with pytest.raises((ValueError, OSError), match=complaint):
        call_tool(SCRIPT, *args, '--out', 'refused')
    assert not (root / 'refused').exists()
