"""tools/analyze.py: analyses of models, their files and figures."""

import json
import shutil

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmwsss.analysis import known_analyses
from mmwsss.analysis.analyses import TokenSimilarity
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


def test_redraw_runs_of_several_files(root, monkeypatch):
    analyze(root, 'token-similarity', '--labels', 'one')
    shutil.copytree(root / 'out', root / 'other', dirs_exist_ok=True)
    analyze(root, 'token-similarity', '--labels', 'two')
    drawn = []
    monkeypatch.setattr(TokenSimilarity, 'draw', lambda self, record, path: drawn.append(record))
    files = [root / name / 'token-similarity.json' for name in ('other', 'out')]
    call_tool(SCRIPT, '--redraw', f'{files[0]},{files[1]}')
    assert [run['label'] for run in drawn[0]['runs']] == ['one', 'two']
    analyze(root, 'hellinger-distance')
    with pytest.raises(ValueError, match='hellinger-distance'):
        call_tool(SCRIPT, '--redraw', f'{files[0]},{root / "out/hellinger-distance.json"}')


def cells(image):
    return [panel['title'] for row in image['rows'] for panel in row['panels']]


def test_affinity_matrices(root):
    run, = analyze(root, 'affinity-matrices', '--options', 'max_side=10')['runs']
    data = run['data']
    assert np.shape(data['matrices']) == (LAYERS, 10, 10)
    assert data['image'] == 'img_006'
    assert all(0 < share < 1 for share in data['diagonal_share'])
    assert all(1 <= keys <= 35 for keys in data['effective_keys'])
    whole = np.array(analyze(root, 'affinity-matrices')['runs'][0]['data']['matrices'])
    np.testing.assert_allclose(whole.sum(axis=2), 1, atol=1e-3)


@pytest.mark.parametrize('options', [(), ('--options', 'by_head=True', 'normalize=False')])
def test_hellinger_distance(root, options):
    run, = analyze(root, 'hellinger-distance', *options)['runs']
    assert len(run['data']['mean']) == LAYERS
    assert all(0 <= low <= mean <= 1 for low, mean in zip(run['data']['low'], run['data']['mean']))


def test_attended_tokens(root):
    run, = analyze(root, 'attended-tokens', '--options', 'show=2')['runs']
    data = run['data']
    assert (len(data['images']), data['judged_images']) == (2, 3)
    assert np.shape(data['images'][0]['rows'][0]['panels'][0]['map']) == (5, 7)
    assert 0 < data['foreground_mass'] < 1
    assert data['ratio'] == pytest.approx(data['foreground_mass'] / data['area'], rel=.5)


def test_similarity_map(root):
    run, = analyze(root, 'similarity-map', '--options', 'images=1', 'point=(.1,.9)')['runs']
    image, = run['data']['images']
    assert cells(image) == ['CAM', 'all pairs of tokens', 'similarity to the point']
    pairs, query = (np.array(panel['map']) for panel in image['rows'][0]['panels'][1:])
    np.testing.assert_allclose(query.flatten(), pairs[28], atol=1e-3)  # the first token of the last of five rows
    np.testing.assert_allclose(np.diag(pairs), 1, atol=1e-3)


def test_class_attention(root):
    run, = analyze(root, 'class-attention', '--split', 'train', '--images', 'img_002,img_000')['runs']
    both, one = run['data']['images']
    assert (both['id'], one['id']) == ('img_002', 'img_000')
    assert [[row['name'] for row in image['rows']] for image in (both, one)] == [['disc', 'bar'], ['disc']]
    assert cells(one) == ['class token', 'refined']


def test_heads_and_a_point(root):
    run, = analyze(root, 'head-attention', '--options', 'images=1', 'heads=[(2,1)]')['runs']
    assert cells(run['data']['images'][0]) == ['layer 2, head 1', 'mean']
    run, = analyze(root, 'reference-point', '--options', 'images=1')['runs']
    titles = ['layers 1-1', 'layers 2-3', 'layer 1, head 1', 'layer 2, head 1', 'layer 3, head 1', 'mean']
    assert cells(run['data']['images'][0]) == titles


def test_head_statistics(root):
    options = ('--options', 'class_heads=3', 'normalize_rows=True')
    run, = analyze(root, 'head-statistics', '--split', 'train', *options)['runs']
    data = run['data']
    assert np.shape(data['positions']) == (LAYERS * 2, 16)
    assert np.shape(data['correlations']) == (LAYERS * 2, 2)
    assert (len(data['position_heads']), len(data['class_heads'])) == (LAYERS * 2, 3)
    assert (data['classes'], data['heads'][:3]) == (['disc', 'bar'], ['1.1', '1.2', '2.1'])


def test_list(capsys):
    call_tool(SCRIPT, '--list')
    listed = capsys.readouterr().out
    assert all(name in listed for name in known_analyses())


def test_every_analysis_says_what_it_is():
    for name, kind in known_analyses().items():
        assert kind.source, name
        assert (kind.__doc__ or '').strip().splitlines()[0].endswith('.'), name


@pytest.mark.parametrize(('args', 'complaint'), [
    (['token-similarities', 'mct.py', 'mct.pth'], "did you mean 'token-similarity'"),
    (['token-similarity', 'mct.py'], 'no checkpoint'),
    (['token-similarity', 'mct.py', 'nowhere.pth'], 'nowhere.pth'),
    (['token-similarity', 'mct.py', 'mct.pth', '--options', 'absolut=1'], 'absolute'),
    (['token-similarity', 'mct.py', 'mct.pth', '--labels', 'a,b'], '--labels'),
    (['token-similarity', 'mct.py', 'mct.pth', '--images', 'img_00'], 'img_00'),
    (['head-attention', 'mct.py', 'mct.pth', '--options', 'heads=[(4,1)]'], 'no head 1 in layer 4'),
    (['class-attention', 'mct.py', 'mct.pth', '--options', 'crop'], 'KEY=VALUE'),
    (['reactivation', 'mct.py', 'mct.pth'], 'mct.py'),
    (['token-similarity', 'mct.py', 'mct.pth', 'mct.py', 'mct.pth'], '--labels'),
])
def test_refusals(root, monkeypatch, args, complaint):
    monkeypatch.chdir(root)
    with pytest.raises((ValueError, OSError), match=complaint):
        call_tool(SCRIPT, *args, '--out', 'refused')
    assert not (root / 'refused').exists()
