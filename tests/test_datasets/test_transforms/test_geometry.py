"""Random geometry, and TransCAM's pipeline that is made of it."""

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.config import Config

from mmwsss.datasets.transforms import RandomPlaceCrop, RandomScale
from mmwsss.models import MultiViewPreProcessor

from ...helpers import REPO

MEAN = (103.53, 116.28, 123.675)


def image_of(height, width):
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return dict(img=image, img_shape=(height, width), ori_shape=(height, width))


@pytest.fixture(scope='module')
def pipeline():
    return Config.fromfile(REPO / 'configs/_base_/pipelines/transcam_512.py').transcam_train_pipeline


@pytest.mark.parametrize(('size', 'side', 'expected'), [
    ((375, 500), 401, (301, 401)), ((500, 333), 401, (401, 267)), ((375, 500), 320, (240, 320)),
    ((375, 500), 640, (480, 640)), ((100, 50), 333, (333, 167))])
def test_long_side_of_the_worked_example(pipeline, monkeypatch, size, side, expected):
    """The draw that gives a side: its place among 321 sides is the number drawn from [0, 1)."""
    monkeypatch.setattr(np.random, 'random_sample', lambda: (side - 320 + 0.5) / 321)
    assert Compose(pipeline[1:2])(image_of(*size))['img'].shape[:2] == expected


def test_long_sides_are_drawn_evenly(pipeline):
    resize = Compose(pipeline[1:2])
    np.random.seed(0)
    sides = [max(resize(image_of(3, 4))['img_shape']) for _ in range(300)]
    assert set(sides) <= set(range(320, 641))
    assert len(set(sides)) > 150
    assert 465 < np.mean(sides) < 495


def test_resize_is_bicubic_with_antialiasing(pipeline, monkeypatch):
    from PIL import Image
    monkeypatch.setattr(np.random, 'random_sample', lambda: 0.)
    source = image_of(500, 400)
    expected = np.asarray(Image.fromarray(source['img']).resize((256, 320), Image.BICUBIC))
    assert (Compose(pipeline[1:2])(source)['img'] == expected).all()


def test_canvas_of_the_mean_color_is_zero_for_the_model():
    crop = RandomPlaceCrop(512, pad_value=MEAN)
    preprocessor = MultiViewPreProcessor(mean=MEAN[::-1], std=[58.395, 57.12, 57.375], bgr_to_rgb=True, size=(512, 512))
    lefts, tops = set(), set()
    for seed in range(300):
        np.random.seed(seed)
        results = crop(image_of(301, 401))
        y0, y1, x0, x1 = results['valid_box']
        assert (y1 - y0, x1 - x0) == (301, 401)
        lefts.add(x0)
        tops.add(y0)
    assert min(lefts) == 0
    assert max(lefts) == 111
    assert min(tops) < 5
    assert 205 < max(tops) <= 211
    image = torch.from_numpy(results['img'].transpose(2, 0, 1).copy())
    seen = preprocessor(dict(inputs=[image]))['inputs'][0]
    inside = torch.zeros(512, 512, dtype=torch.bool)
    inside[y0:y1, x0:x1] = True
    assert not seen[:, ~inside].any()
    normalized = (torch.from_numpy(image_of(301, 401)['img'][..., ::-1].copy()).permute(2, 0, 1)
                  - preprocessor.mean) / preprocessor.std
    torch.testing.assert_close(seen[:, inside].unflatten(1, (301, 401)), normalized)


def test_canvas_of_a_whole_color_keeps_bytes():
    assert RandomPlaceCrop(64, pad_value=(104, 116, 124))(image_of(20, 20))['img'].dtype == np.uint8


def test_whole_pipeline(pipeline):
    np.random.seed(0)
    packed = Compose(pipeline[1:])(dict(image_of(375, 500), gt_label=np.ones(20)))
    assert packed['inputs'].shape == (3, 512, 512)
    y0, y1, x0, x1 = packed['data_samples'].valid_box
    assert max(y1 - y0, x1 - x0) >= 320


def test_masks_follow_the_scale():
    """Sizes are rounded down; the image is OpenCV's bilinear one, the mask its nearest."""
    import cv2
    source = image_of(30, 41)
    label = np.random.default_rng(1).integers(0, 4, (30, 41), dtype=np.uint8)
    scale = RandomScale((0.7, 1.3), backend='cv2')
    for ratio in (0.7, 0.99, 1.25):
        scale._ratio = lambda ratio=ratio: ratio
        out = scale(dict(source, gt_seg_map=label, seg_fields=['gt_seg_map']))
        size = (int(41 * ratio), int(30 * ratio))
        assert (out['img'] == cv2.resize(source['img'], size, interpolation=cv2.INTER_LINEAR)).all()
        assert (out['gt_seg_map'] == cv2.resize(label, size, interpolation=cv2.INTER_NEAREST)).all()
        assert out['img_shape'] == size[::-1]
