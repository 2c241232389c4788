from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image

from mmwsss.engine import PictureSheetHook
from tests.color_cam import color_cam_config
from tests.helpers import write_voc_folder


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_voc_folder(tmp_path_factory.mktemp('voc'), num_train=2, num_val=7)


def run_cfg(root: Path, work_dir: Path, name: str, **hook: object) -> Config:
    cfg = Config(color_cam_config(root))
    cfg.merge_from_dict({
        'work_dir': str(work_dir), 'experiment_name': name, 'log_level': 'WARNING',
        'val_evaluator': {'type': 'CAMMetric'}, 'test_evaluator': {'type': 'CAMMetric'},
        'val_cfg': {'type': 'ValLoop'}, 'test_cfg': {'type': 'TestLoop'},
        'default_hooks': {'visualization': {'type': 'PictureSheetHook', **hook}},
        'visualizer': {'type': 'CAMVisualizer', 'name': name, 'cell_size': (80, 60),
                       'vis_backends': [{'type': 'LocalVisBackend'}]}})
    cfg.train_dataloader = None
    return cfg


def test_a_sheet_at_test_and_validation(root: Path, tmp_path: Path):
    runner = Runner.from_cfg(run_cfg(root, tmp_path, 'sheet', num_images=3))
    metrics = runner.test()
    assert metrics['cam/mIoU'] > 90
    path = tmp_path / 'vis_data/test.png'
    with Image.open(path) as sheet:
        tested = np.array(sheet)
    assert 3 * 64 < tested.shape[0] < 4 * 64 + 60
    assert 5 * 84 <= tested.shape[1] <= 5 * 84 + 30
    runner.val()
    assert (tmp_path / 'vis_data/val_000000.png').is_file()
    assert len(list(tmp_path.rglob('vis_image/*.png'))) == 2


def test_a_test_needs_no_training_data(root: Path, tmp_path: Path):
    cfg = run_cfg(root, tmp_path, 'elsewhere', num_images=1)
    cfg.train_dataloader = {**cfg.test_dataloader, 'dataset': {
        'type': 'PseudoLabelDataset', 'pseudo_label_dir': 'elsewhere', 'dataset': cfg.test_dataloader.dataset.dataset}}
    cfg.train_cfg = {'type': 'IterBasedTrainLoop', 'max_iters': 1}
    cfg.optim_wrapper = {'type': 'OptimWrapper', 'optimizer': {'type': 'SGD', 'lr': .1}}
    Runner.from_cfg(cfg).test()
    assert (tmp_path / 'vis_data/test.png').is_file()


@pytest.mark.parametrize('number', [0, 50])
def test_no_sheet_or_all_images(root: Path, tmp_path: Path, number: int):
    Runner.from_cfg(run_cfg(root, tmp_path, f'sheet_{number}', num_images=number)).test()
    sheets = list(tmp_path.glob('vis_data/*.png'))
    assert len(sheets) == bool(number)
    if number:
        with Image.open(sheets[0]) as sheet:
            assert 7 * 64 < sheet.height < 8 * 64 + 60


def test_single_images_are_drawn_where_asked_for(root: Path, tmp_path: Path):
    Runner.from_cfg(run_cfg(root, tmp_path, 'single', num_images=0, draw=True)).test()
    assert len(list(tmp_path.rglob('vis_image/*.png'))) == 7


def test_a_plain_visualizer_does_without_sheets(root: Path, tmp_path: Path):
    cfg = run_cfg(root, tmp_path, 'plain')
    cfg.visualizer = {'type': 'SegLocalVisualizer', 'name': 'plain'}
    Runner.from_cfg(cfg).test()
    assert not list(tmp_path.rglob('*.png'))


def test_a_negative_number_is_refused():
    with pytest.raises(ValueError, match='-1'):
        PictureSheetHook(num_images=-1)
