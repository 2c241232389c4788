"""mmseg's own ways to load a model, on the configs of mmwsss: ``mmseg.apis.init_model`` and ``MMSegInferencer``."""

import copy
import subprocess
import sys
from functools import cache, partial

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import save_checkpoint
from mmseg.apis import MMSegInferencer, inference_model
from mmseg.apis import init_model as mmseg_init_model
from mmseg.registry import MODELS
from PIL import Image

from mmwsss.apis import init_model
from mmwsss.compat import MissingOperators

from .helpers import REPO

NAMES = sorted(str(path.relative_to(REPO / 'configs')) for path in (REPO / 'configs').glob('*/*.py')
               if path.parent.name != '_base_' and not path.name.startswith(('recipe', 'sweep')))
SAMPLE = [name for name in NAMES if name.endswith('_sample.py')]
FULL_SIZE = [name for name in NAMES if name not in SAMPLE]
CLASSIFIER = 'mctformer/mctformer-v2_vit-micro_sample.py'
SEGMENTOR = 'mctformer/retrain_fcn_vit-micro_sample.py'


@cache
def read(name):
    return Config.fromfile(REPO / 'configs' / name, format_python_code=False)


def load(name):
    return copy.deepcopy(read(name))


def build_inferencer(model, **kwargs):
    inferencer = MMSegInferencer(model=model, device='cpu', **kwargs)
    inferencer.show_progress = False  # mmseg 1.2.2 has no argument for it
    return inferencer


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    """Write two photographs of different sizes, without masks or lists."""
    folder = tmp_path_factory.mktemp('photos')
    rng = np.random.default_rng(0)
    for name, height in (('a', 40), ('b', 33)):
        Image.fromarray(rng.integers(0, 256, (height, 56, 3), np.uint8)).save(folder / f'{name}.png')
    return folder


@pytest.mark.parametrize('name', SAMPLE)
def test_inferencer_runs_on_a_folder_of_photographs(name, photos, tmp_path):
    inferencer = build_inferencer(str(REPO / 'configs' / name))
    if name.startswith('psa/'):  # AffinityNet predicts affinities and no segmentation
        samples = inferencer(str(photos), return_datasamples=True)
        assert all(torch.isfinite(sample.pair_affinity).all() for sample in samples)
        return
    out = inferencer(str(photos), out_dir=str(tmp_path))
    assert sorted(labels.shape for labels in out['predictions']) == [(33, 56), (40, 56)]
    assert len(list((tmp_path / 'pred').glob('*.png'))) == 2
    assert sorted(path.name for path in (tmp_path / 'vis').iterdir()) == ['a.png', 'b.png']


@pytest.mark.parametrize('name', SAMPLE)
def test_init_model_of_mmseg_predicts(name, photos):
    model = mmseg_init_model(load(name), device='cpu')
    path = str(photos / 'a.png')
    sample = inference_model(model, path)
    if not name.startswith('psa/'):
        assert sample.pred_sem_seg.data.shape == (1, 40, 56)
    assert sample.img_path == path


@pytest.mark.parametrize('name', FULL_SIZE)
def test_full_size_configs_are_built_by_mmseg(name, monkeypatch):
    monkeypatch.setattr(torch, 'linspace', partial(torch.linspace, device='cpu'))  # rates of drop path are read
    with torch.device('meta'):  # shapes without memory
        model = mmseg_init_model(load(name), device='meta')
    assert not model.training


@pytest.mark.parametrize('name', NAMES)
def test_test_pipeline_is_the_one_of_the_test_data(name):
    cfg = read(name)
    assert cfg.test_pipeline == cfg.test_dataloader.dataset.pipeline


@pytest.mark.parametrize('name', [CLASSIFIER, SEGMENTOR])
def test_weights_give_the_same_predictions_as_here(name, photos, tmp_path):
    ours = init_model(REPO / 'configs' / name, cfg_options={'model.test_cfg.threshold': 0.3})
    weights = str(tmp_path / 'weights.pth')
    meta = {'dataset_meta': {'classes': [f'class {i}' for i in range(9)], 'palette': [[20 * i] * 3 for i in range(9)]}}
    save_checkpoint({'state_dict': ours.state_dict(), 'meta': meta}, weights)
    path = str(photos / 'a.png')
    expected = inference_model(ours, path).pred_sem_seg.data

    cfg = load(name)
    cfg.model.test_cfg.threshold = 0.3
    theirs = mmseg_init_model(cfg, weights, device='cpu')
    assert theirs.dataset_meta['classes'][1] == 'class 1'
    assert torch.equal(inference_model(theirs, path).pred_sem_seg.data, expected)
    cfg = load(name)
    cfg.model.test_cfg.threshold = 0.3
    inferencer = build_inferencer(cfg, weights=weights)
    assert np.array_equal(inferencer(path)['predictions'], expected[0])
    assert expected.any(), 'a map of background alone compares nothing'


@pytest.mark.skipif(isinstance(sys.modules.get('mmcv._ext'), MissingOperators),
                    reason='without the operators of mmcv, mmseg cannot be imported before mmwsss')
def test_nothing_of_mmwsss_needs_to_be_imported_first(photos):
    code = ('from mmseg.apis import MMSegInferencer\n'
            f'inferencer = MMSegInferencer(model={str(REPO / "configs" / CLASSIFIER)!r}, device="cpu")\n'
            f'print("FOUND", inferencer({str(photos / "a.png")!r})["predictions"].shape)')
    result = subprocess.run([sys.executable, '-c', code], text=True, capture_output=True, cwd=REPO, check=False)
    assert 'FOUND (40, 56)' in result.stdout, result.stderr[-3000:]


def test_a_config_with_bare_names_needs_the_scope(photos):
    def bare():
        cfg = load(CLASSIFIER)
        cfg.model.pop('_scope_')
        cfg.visualizer.type = 'CAMVisualizer'
        cfg.test_dataloader.dataset.pipeline[-1].type = 'PackWSSSInputs'
        return cfg

    with pytest.raises(KeyError, match='CAMClassifier is not in the mmseg::model registry'):
        build_inferencer(bare())
    inferencer = build_inferencer(bare(), scope='mmwsss')
    assert inferencer(str(photos / 'a.png'))['predictions'].shape == (40, 56)


@pytest.mark.parametrize('name', ['toco/toco_vit-micro_sample.py', 'deeplab/deeplabv2_r18_sample.py'])
def test_a_model_without_train_cfg_refuses_to_train(name):
    model = mmseg_init_model(load(name), device='cpu')
    with pytest.raises(ValueError, match='was built without train_cfg, for inference only'):
        model.loss(torch.zeros(1, 3, 64, 64), [])


@pytest.mark.parametrize('name', [CLASSIFIER, 'psa/psa_wr38-micro_sample.py'])
def test_pretrained_is_the_checkpoint_of_the_backbone(name):
    cfg = load(name)
    cfg.model.pretrained = 'mmwsss://no-such-weights'
    model = MODELS.build(cfg.model)
    assert model.backbone.init_cfg['checkpoint'] == 'mmwsss://no-such-weights'
