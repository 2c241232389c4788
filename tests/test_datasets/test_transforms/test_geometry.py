"""Random geometry, and TransCAM's pipeline that is made of it."""

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.config import Config

from mmwsss.datasets import IterationSampler, PseudoLabelDataset
from mmwsss.datasets.transforms import RandomPlaceCrop, RandomScale
from mmwsss.models import MultiViewPreProcessor

from ...helpers import CLASSES, REPO, write_voc_folder

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


@pytest.mark.parametrize(('ratio', 'size'), [(.731, (274, 366)), (1.5, (562, 750)), (.5, (188, 250))])
def test_opencv_scales_by_the_factor(ratio, size):
    """Sides are rounded to the nearest integer, halves to even ones; the step between pixels is 1 / ratio exactly."""
    source = image_of(375, 500)
    label = np.random.default_rng(1).integers(0, 21, (375, 500), dtype=np.uint8)
    scale = RandomScale((ratio, ratio), interpolation='bicubic', backend='cv2', by_factor=True)
    out = scale(dict(source, gt_seg_map=label, seg_fields=['gt_seg_map']))
    assert out['img_shape'] == out['img'].shape[:2] == out['gt_seg_map'].shape == size
    expected = cv2.resize(source['img'], None, fx=ratio, fy=ratio, interpolation=cv2.INTER_CUBIC)
    assert (out['img'] == expected).all()
    rows, cols = (np.minimum(np.floor(np.arange(side) / ratio), limit - 1).astype(int)
                  for side, limit in zip(size, label.shape))
    assert (out['gt_seg_map'] == label[np.ix_(rows, cols)]).mean() > .999


def test_nearest_pixels_of_pillow_and_opencv():
    label = np.arange(8, dtype=np.uint8)[None].repeat(8, axis=0)
    for backend, expected in (('pillow', [1, 3, 5, 7]), ('cv2', [0, 2, 4, 6])):
        scale = RandomScale(ratios=(.5, ), backend='cv2', seg_backend=backend)
        out = scale(dict(image_of(8, 8), gt_seg_map=label, seg_fields=['gt_seg_map']))
        assert out['gt_seg_map'][0].tolist() == expected


def test_factors_from_a_list():
    np.random.seed(0)
    scale = RandomScale(ratios=(.5, .75, 1.25), backend='cv2')
    sizes = {scale(image_of(333, 101))['img_shape'] for _ in range(30)}
    assert sizes == {(166, 50), (249, 75), (416, 126)}, 'rounded down'


@pytest.mark.parametrize(('settings', 'message'), [
    (dict(ratio_range=(2, 1)), 'ratio_range'), (dict(ratios=()), 'ratios'), (dict(ratios=(0, 1)), 'ratios'),
    (dict(by_factor=True), "needs the backend 'cv2'"), (dict(group_size=0), 'group_size'),
    (dict(backend='cv2', seg_backend='pillow', by_factor=True), "seg_backend='pillow'")])
def test_wrong_settings_of_scales(settings, message):
    with pytest.raises(ValueError, match=message):
        RandomScale(**settings)


def sizes_of_stream(dataset, world_size, count):
    """Return the sizes of the first samples of the stream by position, whichever process draws them."""
    found = {}
    for rank in range(world_size):
        sampler = IterationSampler(dataset, seed=3)
        sampler.rank, sampler.world_size = rank, world_size
        for _, index in zip(range(count // world_size), sampler):
            found[index.draw] = tuple(dataset[index]['inputs'].shape[-2:])
    return [found[draw] for draw in range(count)]


def test_four_consecutive_images_share_a_factor(tmp_path):
    """Positions 0 to 3 of the stream share one, 4 has another, with one process and with two."""
    root = write_voc_folder(tmp_path, num_train=6, size=(100, 140))
    pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
                dict(type='RandomScale', ratio_range=(.7, 1.3), backend='cv2', group_size=4),
                dict(type='PackWSSSInputs')]
    inner = dict(type='BaseSegDataset', data_root=str(root), data_prefix=dict(img_path='JPEGImages'),
                 ann_file='ImageSets/Segmentation/train.txt', metainfo=dict(classes=('background', *CLASSES)))
    dataset = PseudoLabelDataset(inner, str(root / 'SegmentationClass'), pipeline=pipeline, seed=0)
    sizes = sizes_of_stream(dataset, 1, 16)
    groups = [sizes[start:start + 4] for start in range(0, 16, 4)]
    assert all(len(set(group)) == 1 for group in groups)
    assert sizes[3] != sizes[4]
    assert len({group[0] for group in groups}) > 2
    assert sizes_of_stream(dataset, 2, 16) == sizes
    assert len({tuple(dataset[0]['inputs'].shape) for _ in range(8)}) > 1, 'without a position, a factor each'


def test_small_images_at_the_top_left_and_crops_that_never_reach_the_end():
    crop = RandomPlaceCrop(64, seg_pad_value=7, placement='top-left', reach_end=False)
    source = image_of(50, 67)
    label = np.zeros((50, 67), np.uint8)
    starts = set()
    for seed in range(40):
        np.random.seed(seed)
        out = crop(dict(source, gt_seg_map=label, seg_fields=['gt_seg_map']))
        assert out['valid_box'] == [0, 50, 0, 64]
        assert (out['gt_seg_map'][50:] == 7).all()
        starts.add(next(x for x in range(4) if (out['img'][:50] == source['img'][:, x:x + 64]).all()))
    assert starts == {0, 1, 2}
    np.random.seed(0)
    every = {tuple(RandomPlaceCrop(64, placement='top-left')(image_of(1, 67))['img'][0, 0]) for _ in range(60)}
    assert len(every) == 4
    with pytest.raises(ValueError, match="placement must be 'random' or 'top-left', got 'center'"):
        RandomPlaceCrop(64, placement='center')
