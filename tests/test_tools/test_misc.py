"""tools/misc: printing a config, drawing a dataset."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.visualization import Visualizer
from mmseg.structures import SegDataSample
from PIL import Image

from ..helpers import COLORS, call_tool, load_tool, tiny_runner_cfg, write_config, write_voc_folder


def test_print_config_shows_and_saves_what_holds(tmp_path, capsys):
    (tmp_path / 'base.py').write_text("model = dict(type='A', width=3)\n")
    (tmp_path / 'mine.py').write_text("_base_ = 'base.py'\nmodel = dict(depth=2)\n")
    call_tool('tools/misc/print_config.py', tmp_path / 'mine.py', '--cfg-options', 'model.width=5', '--save-path',
              tmp_path / 'all.py')
    namespace = {}
    exec(capsys.readouterr().out, namespace)
    assert namespace['model'] == dict(type='A', width=5, depth=2)
    assert Config.fromfile(tmp_path / 'all.py').model == namespace['model']


def test_print_config_knows_its_formats(tmp_path):
    write_config(dict(a=1), tmp_path / 'mine.py')
    with pytest.raises(ValueError, match=r'--save-path must end in .*, got all\.txt'):
        call_tool('tools/misc/print_config.py', tmp_path / 'mine.py', '--save-path', 'all.txt')


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    root = tmp_path_factory.mktemp('browse')
    cfg = tiny_runner_cfg(write_voc_folder(root / 'data', size=(80, 80)), root / 'work')
    return write_config(cfg, root / 'tiny.py')


def test_browse_writes_a_picture_per_image(config, tmp_path):
    call_tool('tools/misc/browse_dataset.py', config, '--number', 2, '--draws', 2, '--cell', 100, '--out-dir',
              tmp_path / 'out')
    pictures = {path.name: np.array(Image.open(path)) for path in (tmp_path / 'out').iterdir()}
    assert sorted(pictures) == ['000000_img_000.png', '000001_img_001.png']
    first, second = pictures['000000_img_000.png'], pictures['000001_img_001.png']
    assert first.shape[1] > 300, 'image, input and mask side by side'

    def pixels(picture, color):
        return (picture == color).all(-1).sum()

    assert pixels(first, COLORS[0]) > 500, 'the mask in the color of the palette'
    assert pixels(first, COLORS[1]) == 0
    assert pixels(second, COLORS[1]) > 500


@pytest.fixture(scope='module')
def browse():
    return load_tool('tools/misc/browse_dataset.py')


def test_browse_names_labels(browse):
    classes = ('background', 'cat', 'dog')
    labeled = SegDataSample()
    labeled.gt_label = torch.tensor([0., 1., 1.])
    assert browse.label_names(labeled, classes) == 'dog, 3', 'an id where no name is known'
    labeled.gt_label = torch.zeros(2)
    assert browse.label_names(labeled, classes) == 'no label'
    assert browse.label_names(SegDataSample(), classes) == ''


@pytest.mark.parametrize('bgr', [True, False])
def test_browse_shows_colors_as_they_are(browse, bgr):
    red = torch.zeros(3, 6, 8)
    red[2 if bgr else 0] = 255
    picture = browse.view_picture(Visualizer(), red, None, bgr)
    assert picture.shape == (6, 8, 3)
    assert (picture == (255, 0, 0)).all()


def test_browse_frames_what_is_no_padding(browse):
    sample = SegDataSample(metainfo=dict(valid_box=(10, 40, 5, 45)))
    picture = browse.view_picture(Visualizer(), torch.zeros(3, 60, 60), sample, True)
    green = picture[..., 1] > 100
    assert green[25, 3:7].any()
    assert green[25, 42:47].any()
    assert not green[20:30, 12:38].any()
    whole = SegDataSample(metainfo=dict(valid_box=(0, 60, 0, 60)))
    assert browse.view_picture(Visualizer(), torch.zeros(3, 60, 60), whole, True).max() == 0


def test_browse_draws_every_view(browse):
    sample = SegDataSample()
    inputs = dict(main=torch.zeros(3, 8, 8), local=torch.ones(3, 8, 8))
    cells = browse.sample_cells(Visualizer(), dict(inputs=inputs, data_samples=sample), [], True)
    assert list(cells) == ['main', 'local']


def test_browse_without_such_a_dataloader(browse):
    with pytest.raises(ValueError, match='has no val_dataloader'):
        browse.build_dataset(Config({}), 'val')


def test_browse_knows_the_channel_order(browse):
    assert browse.is_bgr(Config(dict(model=dict(data_preprocessor=dict(bgr_to_rgb=True)))))
    assert not browse.is_bgr(Config(dict(data_preprocessor=dict(bgr_to_rgb=False))))
