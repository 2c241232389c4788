"""Views of an image beside the image itself, and DuPL's perturbed colors."""

import numpy as np
import pytest
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmwsss.datasets.transforms import AddViews
from tests.helpers import REPO


def image_of(size=64):
    ramp = np.linspace(20, 230, size, dtype=np.uint8)
    return np.stack([np.tile(ramp, (size, 1)), np.tile(ramp[:, None], (1, size)), np.full((size, size), 90, np.uint8)],
                    axis=2)


def test_views_start_from_the_image_and_leave_it():
    image = image_of()
    flipped = dict(type='RandomFlip', prob=1.0)
    results = AddViews(one=[flipped], two=[])(dict(img=image.copy(), views=dict(zero=image)))
    assert np.array_equal(results['img'], image)
    assert list(results['views']) == ['zero', 'one', 'two']
    assert np.array_equal(results['views']['one'], image[:, ::-1])
    assert np.array_equal(results['views']['two'], image)
    assert results['views']['two'] is not results['img']
    assert 'flip' not in results
    with pytest.raises(ValueError, match="must not be called 'main'"):
        AddViews(main=[])


def test_strength_of_the_published_changes():
    """Ten of thirty steps: enhancements at 0.7, two bits per color, and no change of position."""
    init_default_scope('mmwsss')
    cfg = Config.fromfile(REPO / 'configs/_base_/pipelines/dupl_448.py').dupl_strong_colors
    assert (cfg.num_policies, cfg.magnitude_level, cfg.total_level) == (5, 10, 30)
    image = image_of()
    found = {}
    for policy in cfg.policies:
        one = Compose([dict(cfg, policies=[policy], num_policies=1)])
        found[policy.type.removeprefix('mmpretrain.')] = one(dict(img=image.copy()))['img']
    assert set(found) == {'AutoContrast', 'Equalize', 'Posterize', 'ColorTransform', 'Contrast', 'Brightness',
                          'Sharpness'}
    assert np.array_equal(found['Posterize'], image & 0b11000000)
    assert abs(found['Brightness'] - .7 * image).max() <= 1
    spread = {name: value.astype(float).std() for name, value in found.items()}
    assert spread['Contrast'] == pytest.approx(.7 * image.std(), rel=.02)
    assert found['AutoContrast'][..., 0].max() == 255
    assert not np.array_equal(found['Equalize'], image)


def test_the_pipeline_gives_a_view_of_the_same_pixels():
    init_default_scope('mmwsss')
    cfg = Config.fromfile(REPO / 'configs/dupl/dupl_vit-b_voc.py', format_python_code=False)
    steps = Compose(cfg.train_dataloader.dataset.pipeline[1:])
    np.random.seed(0)
    packed = steps(dict(img=image_of(), img_shape=(64, 64), ori_shape=(64, 64), gt_label=np.eye(20)[3]))
    assert {name: tuple(view.shape) for name, view in packed['inputs'].items()} == dict(
        main=(3, 448, 448), perturbed=(3, 448, 448))
    y0, y1, x0, x1 = packed['data_samples'].valid_box
    main = packed['inputs']['main'].numpy()
    assert main[:, y0 + 5:y1 - 5, x0 + 5:x1 - 5].max(axis=0).min() > 0, 'the region shows the image'
    assert not np.array_equal(packed['inputs']['perturbed'].numpy(), main)
