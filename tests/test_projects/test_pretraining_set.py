"""The classification set that the sample backbones are pretrained on, and the configs that train on it."""

import hashlib
import sys

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from mmwsss.sample_set import SAMPLE_SHAPES
from projects.sample_backbones import make_pretraining_set
from projects.sample_backbones.pretraining_set import PRETRAINING_CLASSES, draw_single, write_pretraining_set
from tests.helpers import REPO

CONFIGS = REPO / 'projects/sample_backbones/configs'


def test_every_pretraining_class_draws():
    assert set(SAMPLE_SHAPES) < set(PRETRAINING_CLASSES)
    assert len(PRETRAINING_CLASSES) > 60
    for name in PRETRAINING_CLASSES:
        image = draw_single(name, 48, np.random.default_rng(3))
        assert (image.shape, image.dtype) == ((48, 48, 3), np.uint8)
        assert image.std() > 3
    with pytest.raises(ValueError, match='tram'):
        draw_single('tram', 48, np.random.default_rng(3))


def test_pretraining_set_layout(tmp_path):
    assert write_pretraining_set(tmp_path / 'set', 1, 1, side=32, nproc=1)
    assert not write_pretraining_set(tmp_path / 'set', 1, 1, side=32)
    for split in ('train', 'val'):
        assert sorted(path.name for path in (tmp_path / 'set' / split).iterdir()) == list(PRETRAINING_CLASSES)
        assert len(list((tmp_path / 'set' / split).rglob('*.jpg'))) == len(PRETRAINING_CLASSES)
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / 'set').rglob('*.jpg')}
    assert len(digests) == 2 * len(PRETRAINING_CLASSES)


def test_command_line(tmp_path, capsys, monkeypatch):
    def call(*args):
        monkeypatch.setattr(sys, 'argv', ['make_pretraining_set.py', *map(str, args)])
        make_pretraining_set.main()

    call(tmp_path / 'set', '--train-per-class', 1, '--val-per-class', 1, '--side', 32, '--nproc', 1)
    assert '94 classes' in capsys.readouterr().out
    with pytest.raises(ValueError, match='31'):
        call(tmp_path / 'other', '--side', 31)


@pytest.fixture(scope='module')
def drawn(tmp_path_factory):
    """Draw one image of each class for each split."""
    folder = tmp_path_factory.mktemp('pretraining') / 'set'
    write_pretraining_set(folder, 1, 1, side=112, nproc=1)
    return folder


@pytest.mark.parametrize('name', sorted(path.name for path in CONFIGS.glob('*.py')))
def test_configs_train(tmp_path, drawn, name):
    cfg = Config.fromfile(CONFIGS / name)
    cfg.merge_from_dict({
        'work_dir': str(tmp_path / 'work'), 'load_from': None, 'train_cfg.max_iters': 1, 'train_cfg.val_interval': 2,
        'train_dataloader.dataset.data_root': str(drawn),
        'val_dataloader.dataset.data_root': str(drawn), 'train_dataloader.batch_size': 2,
        'train_dataloader.num_workers': 0, 'train_dataloader.persistent_workers': False,
        'default_hooks.logger.interval': 1, 'experiment_name': f'{tmp_path.name}'})
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert np.isfinite(runner.message_hub.get_scalar('train/loss').current())
