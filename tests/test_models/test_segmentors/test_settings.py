"""Wrong settings in train_cfg and test_cfg are refused when the model is built; those of all configs are accepted."""

import pytest
from mmengine.config import Config, ConfigDict

from mmwsss.models import RandomWalk
from mmwsss.models.segmentors import (
    AffinityNet,
    CAMClassifier,
    DeepLabV2,
    MultiScaleTTA,
    Segmenter,
    ToCo,
    settings,
)
from mmwsss.registry import MODELS
from mmwsss.utils.errors import UserError
from tests.helpers import REPO

TABLES = dict(
    AffinityNet=(settings.NOTHING, settings.AFFINITY_TEST),
    CAMClassifier=(settings.NOTHING, settings.CAM_TEST),
    DeepLabV2=(settings.DEEPLAB_TRAIN, settings.DEEPLAB_TEST),
    DuPL=(settings.DUPL_TRAIN, settings.DUPL_TEST),
    Segmenter=(settings.NOTHING, settings.SEGMENTOR_TEST),
    ToCo=(settings.TOCO_TRAIN, settings.TOCO_TEST))
CONFIGS = dict(
    AffinityNet='psa/psa_wr38-micro_sample', CAMClassifier='cam/cam_vit-micro_sample',
    DeepLabV2='deeplab/deeplabv2_r18_sample', DuPL='dupl/dupl_vit-micro_sample',
    Segmenter='weaktr/weaktr-retrain_vit-micro_sample',
    ToCo='toco/toco_vit-micro_sample')
ALL_CONFIGS = sorted(str(path.relative_to(REPO)) for path in REPO.glob('configs/[a-z]*/*.py'))


def build_with(name, **options):
    """Build a model of a sample config after changes; nothing but the settings is looked at if they are wrong."""
    cfg = Config.fromfile(REPO / f'configs/{CONFIGS[name]}.py', format_python_code=False)
    cfg.merge_from_dict({f'model.{key.replace("__", ".")}': value for key, value in options.items()})
    return MODELS.build(cfg.model)


@pytest.mark.parametrize(('name', 'options', 'message'), [
    ('CAMClassifier', dict(test_cfg__treshold=.4), r"unknown key 'treshold' \(did you mean 'threshold'\?\)"),
    ('CAMClassifier', dict(test_cfg__threshold=1.5), r'threshold must be a number from 0 to 1 or None, got 1\.5'),
    ('CAMClassifier', dict(test_cfg__threshold=-.1), 'threshold must be'),
    ('CAMClassifier', dict(test_cfg__threshold=float('nan')), 'threshold must be .* got nan'),
    ('CAMClassifier', dict(test_cfg__threshold=True), 'threshold must be'),
    ('CAMClassifier', dict(test_cfg__threshold='0.4'), 'threshold must be'),
    ('CAMClassifier', dict(test_cfg__cams__scale=(1., )), r"cams has the unknown key 'scale' \(did you mean 'scales'"),
    ('CAMClassifier', dict(test_cfg__cams__scales=()), 'cams: scales must be one or more numbers above 0 in a list'),
    ('CAMClassifier', dict(test_cfg__cams__scales=(1., 0.)), 'scales must be'),
    ('CAMClassifier', dict(test_cfg__cams__scales=1.), 'scales must be'),
    ('CAMClassifier', dict(test_cfg__cams__sizes=((64, ), )), r'sizes must be a list of \(height, width\) or None'),
    ('CAMClassifier', dict(test_cfg__cams__divisor=0), 'divisor must be an integer of 1 or more, got 0'),
    ('CAMClassifier', dict(test_cfg__cams__flip='yes'), "flip must be True or False, got 'yes'"),
    ('CAMClassifier', dict(test_cfg__cams__flip_fusion='min'), "flip_fusion must be 'max', 'mean' or 'sum', got 'min'"),
    ('CAMClassifier', dict(test_cfg__cams__normalize='softmax'), 'normalize must be'),
    ('CAMClassifier', dict(test_cfg__cams__interpolation='nearest'), 'interpolation must be'),
    ('CAMClassifier', dict(test_cfg__cams__eps=-1e-5), 'eps must be a number of 0 or more'),
    ('CAMClassifier', dict(test_cfg__cams=3), 'cams must be a dictionary'),
    ('CAMClassifier', dict(test_cfg__pseudo_label_crf='toco_sge'), 'pseudo_label_crf must be None, a dictionary'),
    ('CAMClassifier', dict(test_cfg__map_names='cams'), 'map_names must be a list of names'),
    ('CAMClassifier', dict(test_cfg=3), 'test_cfg of CAMClassifier must be a dictionary'),
    ('CAMClassifier', dict(train_cfg__low=.1), "train_cfg of CAMClassifier has the unknown key 'low'; it takes no key"),
    ('ToCo', dict(train_cfg__low=.8), r'low \(0\.8\) must not be above high'),
    ('ToCo', dict(train_cfg__high=1.2), 'high must be a number from 0 to 1'),
    ('ToCo', dict(train_cfg__hihg=.7), "'hihg' .did you mean 'high'"),
    ('ToCo', dict(train_cfg__ptc_box='patch'), "ptc_box must be 'reference' or 'scaled', got 'patch'"),
    ('ToCo', dict(train_cfg__loss_weights__seg=-1.), 'loss_weights must be .*ptc, ctc, seg, reg'),
    ('ToCo', dict(train_cfg__no_grad_dtype='float32'), "no_grad_dtype must be 'bfloat16', 'float16' or None"),
    ('ToCo', dict(train_cfg__ema_momentum=1.1), 'ema_momentum must be a number from 0 to 1'),
    ('ToCo', dict(train_cfg__num_local_crops=2.5), 'num_local_crops must be an integer of 0 or more'),
    ('ToCo', dict(train_cfg__local_crop_size=0), 'local_crop_size must be an integer of 1 or more'),
    ('ToCo', dict(train_cfg__local_min_foreground=2), 'local_min_foreground must be'),
    ('ToCo', dict(train_cfg__phases=[dict(of=('seg', ))]), r"phases\[0\] has the unknown key 'of' .*'off'"),
    ('ToCo', dict(train_cfg__phases=[dict(off=('seg', ))]), r'phases\[0\] lacks begin'),
    ('ToCo', dict(train_cfg__phases=[dict(begin=-1)]), 'begin must be an integer of 0 or more'),
    ('ToCo', dict(train_cfg__cams__relu=1), 'train_cfg of ToCo: cams: relu must be True or False'),
    ('ToCo', dict(test_cfg__steps=[]), "test_cfg of ToCo has the unknown key 'steps'"),
    ('ToCo', dict(test_cfg__mode='slide'), "mode='slide' needs crop_size and stride"),
    ('DuPL', dict(train_cfg__final_high=.8), r'final_high \(0\.8\) must be between low \(0\.25\) and high'),
    ('DuPL', dict(train_cfg__final_high=.1), 'final_high .* must be between'),
    ('DuPL', dict(train_cfg__high_decay=(600, 170)), r'high_decay must be \[first, last\] with first < last, got'),
    ('DuPL', dict(train_cfg__high_kept=('cat', )), 'high_kept must be a list of integers of 0 or more'),
    ('DuPL', dict(train_cfg__loss_weights__dis=-1.), 'loss_weights must be .*ptc, dis, seg, reg'),
    ('DuPL', dict(train_cfg__ema_momentum=.9), "unknown key 'ema_momentum'"),
    ('DuPL', dict(train_cfg__perturbed_scale=0), 'perturbed_scale must be a number above 0'),
    ('DuPL', dict(test_cfg__student='third'), "student must be 'first' or 'second', got 'third'"),
    ('AffinityNet', dict(test_cfg__log2_steps=40), 'log2_steps must be an integer from 0 to 16, got 40'),
    ('AffinityNet', dict(test_cfg__log2_steps=1.5), 'log2_steps must be'),
    ('AffinityNet', dict(test_cfg__log_steps=4), "did you mean 'log2_steps'"),
    ('AffinityNet', dict(test_cfg__beta=-1), 'beta must be a number of 0 or more'),
    ('AffinityNet', dict(test_cfg__background_alpha=0), 'background_alpha must be a number above 0 or None'),
    ('AffinityNet', dict(train_cfg__beta=8), 'it takes no keys'),
    ('DeepLabV2', dict(train_cfg__scales=(0, )), 'scales must be'),
    ('DeepLabV2', dict(train_cfg__scale=(1, )), "did you mean 'scales'"),
    ('DeepLabV2', dict(test_cfg__mode='whale'), "mode must be 'whole' or 'slide', got 'whale'"),
    ('Segmenter', dict(test_cfg__stride=(200, 10)), 'stride must not be above crop_size'),
    ('Segmenter', dict(test_cfg__crop_size=(480, )), 'crop_size must be 2 integers of 1 or more in a list or None'),
    ('Segmenter', dict(test_cfg__crop=(480, 480)), "did you mean 'crop_size'"),
])
def test_wrong_settings(name, options, message):
    with pytest.raises(UserError, match=message):
        build_with(name, **options)


@pytest.mark.parametrize(('build', 'message'), [
    (lambda: ToCo({}, {}, {}, {}, {}, {}, {}, train_cfg=dict(low=.1, high=.2)), 'lacks cams, loss_weights, phases'),
    (lambda: DeepLabV2(train_cfg={}), 'train_cfg of DeepLabV2 lacks scales'),
    (lambda: MultiScaleTTA({}, scales=(0, )), 'MultiScaleTTA: scales must be'),
    (lambda: MultiScaleTTA({}, scale_fusion='min'), 'MultiScaleTTA: scale_fusion must be'),
    (lambda: RandomWalk(log2_steps=40), 'RandomWalk: log2_steps must be an integer from 0 to 16 or None, got 40'),
    (lambda: RandomWalk(beta=float('inf')), 'RandomWalk: beta must be'),
    (lambda: AffinityNet({}, {}, test_cfg=[]), 'test_cfg of AffinityNet must be a dictionary'),
    (lambda: Segmenter(test_cfg=dict(mode='slide', crop_size=(4, 4))), 'needs crop_size and stride'),
    (lambda: CAMClassifier({}, {}, test_cfg=dict(refiner=1)), 'no longer takes'),
])
def test_wrong_arguments(build, message):
    with pytest.raises(UserError, match=message):
        build()


@pytest.mark.parametrize('name', sorted(TABLES))
def test_none_is_allowed(name):
    """Models that mmseg builds for inference have no train_cfg."""
    for table in TABLES[name]:
        table.check(name, None)


def test_the_settings_of_all_configs_are_accepted():
    checked = 0
    for path in ALL_CONFIGS:
        model = Config.fromfile(REPO / path, format_python_code=False).get('model')
        tables = TABLES.get(model.type) if isinstance(model, ConfigDict) else None
        for table, key in zip(tables or (), ('train_cfg', 'test_cfg')):
            table.check(f'{key} of {path}', model.get(key))
            checked += 1
    assert checked >= 2 * 30
