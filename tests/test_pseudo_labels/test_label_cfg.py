from pathlib import Path

import pytest
import torch

from mmwsss.pseudo_labels import LabelPlan, expand_short_forms, read_label_cfg
from mmwsss.pseudo_labels.label_cfg import build_outputs, check_keys
from tests.helpers import REPO

PRESETS = sorted((REPO / 'configs/_base_/label_cfgs').glob('*.py'))


def types(node: dict) -> list:
    return [step['type'] for step in node['steps']]


@pytest.mark.parametrize(('post', 'expected'), [
    (None, ['ConstantBackground']),
    ('none', ['ConstantBackground']),
    ('par', ['Downscale', 'ConstantBackground', 'Softmax', 'PixelAdaptiveRefinement']),
    ('crf', ['ConstantBackground', 'DenseCRF']),
    ('label-crf', ['ConstantBackground', 'HardLabels', 'DenseCRF']),
    ('random-walk', ['ConstantBackground', 'RandomWalk']),
    ('random-walk-crf',
     ['ConstantBackground', 'RandomWalk', 'RoundTripColors', 'HardLabels', 'DenseCRF', 'CutPadding'])])
def test_short_names_of_lists_of_steps(post: object, expected: list):
    found = expand_short_forms(threshold=.3, post=post)
    assert types(found) == expected
    assert found['labeler'] == {'type': 'Argmax'}
    assert 'source' not in found
    assert found['outputs'] == {}
    two = expand_short_forms(threshold=.3, high=.6, post=post)
    assert dict(type='ConstantBackground', low=.3, high=.6) in two['steps']
    assert two['labeler'] == {'type': 'MergeLevels'}
    check_keys(found)
    check_keys(two)


def test_short_forms_of_sources_and_outputs():
    found = expand_short_forms(threshold=.5, save_cams=True, crf_alphas=(1, 12), cam_stride=4, cam_format='npy',
                               crf_stride=2, source='segmentation')
    assert found['source'] == {'type': 'SegmentationSource'}
    assert list(found['outputs']) == ['cams', 'crf_1', 'crf_12']
    assert found['outputs']['cams'] == {'steps': [], 'stride': 4, 'format': 'npy'}
    assert types(found['outputs']['crf_12']) == ['AlphaBackground', 'DenseCRF']
    assert found['outputs']['crf_12']['steps'][1]['stride'] == 2
    assert expand_short_forms(threshold=.5, cams='seeds')['source'] == {'type': 'MapFolder', 'folder': 'seeds'}


def test_what_the_config_says_stands_in_for_what_is_not_given():
    test_cfg = {'threshold': .3, 'pseudo_label_crf': 'transcam_label'}
    found = expand_short_forms(test_cfg, threshold=None, post='label-crf', crf_alphas=None)['steps']
    assert [found[0]['threshold'], found[1]['over'], found[2]['preset']] == [.3, 'all', 'transcam_label']
    found = expand_short_forms(test_cfg, threshold=.7, post='crf', crf='aream_cam')['steps']
    assert [found[0]['threshold'], found[1]['preset']] == [.7, 'aream_cam']
    found = expand_short_forms({'threshold': .4}, post='random-walk-crf')['steps']
    assert found[1] == {'type': 'RandomWalk', 'keep_padding': True}
    assert [found[3]['over'], found[4]['preset']] == ['all', 'transcam_label']
    assert expand_short_forms({'threshold': .4}, post='label-crf')['steps'][2]['preset'] == 'weaktr_label_voc'
    assert expand_short_forms({'threshold': .4}, post='crf')['steps'][1]['preset'] == 'mctformer_cam'
    given = dict(num_iters=3, bilateral_sxy=20)
    assert expand_short_forms(test_cfg, post='crf', crf=given)['steps'][1] == {'type': 'DenseCRF', **given}
    test_cfg = {'threshold': None, 'background_alpha': 16}
    assert expand_short_forms(test_cfg, post='random-walk')['steps'][0] == {'type': 'AlphaBackground', 'alpha': 16}
    found = expand_short_forms(test_cfg, post='random-walk', threshold=.2)['steps'][0]
    assert found == {'type': 'ConstantBackground', 'threshold': .2}
    for missing in (test_cfg, None):
        with pytest.raises(ValueError, match='no threshold'):
            expand_short_forms(missing)


@pytest.mark.parametrize(('settings', 'message'), [
    ({'threshold': 1.2}, 'threshold=1.2'), ({'threshold': .5, 'high': .4}, 'high=0.4'),
    ({'threshold': .5, 'high': 2}, 'high=2'),
    ({'threshold': .5, 'post': 'nn'}, "'nn'"), ({'threshold': .5, 'post': 'crff'}, "did you mean 'crf'"),
    ({'threshold': .5, 'cam_stride': 0, 'save_cams': True}, "stride of output 'cams'"),
    ({'threshold': .5, 'post': 'crf', 'crf_stride': 0}, 'stride must be 1 or more'),
    ({'threshold': .5, 'post': 'crf', 'crf': 'none'}, 'mctformer_cam.*none'),
    ({'threshold': .5, 'post': 'crf', 'crf': 'transcam_label'}, "use post='label-crf'"),
    ({'threshold': .5, 'cam_stride': 'patch', 'save_cams': True}, "'patch'"),
    ({'threshold': .5, 'cam_format': 'txt', 'save_cams': True}, "'txt'"),
    ({'threshold': .5, 'crf_alphas': (0, 1)}, 'alphas'), ({'threshold': .5, 'crf_alphas': (1, 1)}, 'alphas'),
    ({'threshold': .5, 'background_alpha': 2}, 'one background.*background_alpha=2'),
    ({'post': 'random-walk', 'background_alpha': -1}, 'must be positive'),
    ({'threshold': .5, 'source': 'masks'}, "'masks'"),
    ({'threshold': .5, 'post': 'label-crf', 'crf_classes': 'some'}, "'some'"),
])
def test_wrong_short_forms_are_refused(settings: dict, message: str):
    with pytest.raises(ValueError, match=message):
        check_keys(expand_short_forms(**settings))


BACKGROUND = dict(type='ConstantBackground', threshold=.5)


@pytest.mark.parametrize(('label_cfg', 'message'), [
    (dict(step=[BACKGROUND]), "unknown key 'step' .did you mean 'steps'"),
    (dict(steps=[]), 'the labeler, MergeLevels, needs background, .*put ConstantBackground or AlphaBackground'),
    (dict(steps=[dict(type='DenseCRF'), BACKGROUND]), 'step 1, DenseCRF, needs background'),
    (dict(steps=[BACKGROUND], outputs=dict(crf=dict(steps=[dict(type='Softmax')]))), 'step 1, Softmax, needs back'),
    (dict(steps=[BACKGROUND], outputs={'../x': dict(steps=[])}), 'leads out of the folder'),
    (dict(steps=[BACKGROUND], outputs={'a/b': dict(steps=[])}), "cannot be called 'a/b'"),
    (dict(steps=[BACKGROUND], outputs=dict(labels=dict(steps=[]))), "cannot be called 'labels'"),
    (dict(steps=[BACKGROUND], outputs=dict(cams=dict(strid=4))), "unknown key 'strid' .did you mean 'stride'"),
])
def test_a_wrong_list_is_refused_with_the_way_out(label_cfg: dict, message: str):
    with pytest.raises(ValueError, match=message):
        check_keys(label_cfg)


def test_an_affinity_must_come_from_somewhere():
    refined = dict(steps=[dict(type='AffinityRefinement'), BACKGROUND])
    check_keys(refined)
    with pytest.raises(ValueError, match='AffinityRefinement, needs affinity, .*carry an affinity'):
        build_outputs(refined)


def test_what_is_no_step_is_refused():
    with pytest.raises(TypeError, match='AffinityHead is no label step'):
        check_keys(dict(steps=[dict(type='AffinityHead', in_channels=(1, 1, 1), channels=(1, 1, 1))]))
    with pytest.raises(TypeError, match='ConstantBackground is no labeler'):
        check_keys(dict(steps=[BACKGROUND], labeler=BACKGROUND))
    with pytest.raises(TypeError, match='Linear: it gives no CAMs .it has no predict_cams., and it is no mmseg'):
        LabelPlan(dict(steps=[BACKGROUND]), torch.nn.Linear(1, 1), 2)


@pytest.mark.parametrize('path', PRESETS, ids=lambda path: path.stem)
def test_published_settings_can_be_built(path: Path):
    pytest.importorskip('pydensecrf', reason='needs the optional dense CRF')
    label_cfg = read_label_cfg(str(path))
    outputs = build_outputs({key: value for key, value in label_cfg.items() if key != 'source'})
    assert outputs['labels'].pipeline.labeler is not None


def test_there_are_published_settings_of_all_methods():
    stems = {path.stem.split('_')[0] for path in PRESETS}
    assert stems == {'toco', 'mctformer', 'weaktr', 'aream', 'transcam', 'psa'}


def test_a_file_without_label_cfg(tmp_path: Path):
    (tmp_path / 'empty.py').write_text('model = dict()\n')
    with pytest.raises(ValueError, match='empty.py has no label_cfg; its keys are model'):
        read_label_cfg(str(tmp_path / 'empty.py'))
    with pytest.raises(FileNotFoundError, match=r'no config .*none\.py'):
        read_label_cfg(str(tmp_path / 'none.py'))


def test_par_has_the_settings_of_the_model():
    label_cfg = expand_short_forms(dict(threshold=.5, pseudo_label_par=dict(dilations=(1, 2), num_iters=3)), post='par')
    assert label_cfg['steps'][-1] == dict(type='PixelAdaptiveRefinement', dilations=(1, 2), num_iters=3)
    assert expand_short_forms(threshold=.5, post='par')['steps'][-1] == dict(type='PixelAdaptiveRefinement')
