import numpy as np
import pytest

from mmwsss.datasets.transforms import RandomPlaceCrop, RandomScale, ToCoViews


def image_of(height, width):
    image = np.random.default_rng(0).integers(1, 255, (height, width, 3), dtype=np.uint8)
    return dict(img=image, img_shape=(height, width))


def test_small_image_is_placed():
    starts = set()
    for seed in range(40):
        np.random.seed(seed)
        results = RandomPlaceCrop(448)(image_of(300, 500))
        y0, y1, x0, x1 = results['valid_box']
        assert (y1 - y0, x0, x1) == (300, 0, 448)
        assert 0 <= y0 <= 148
        assert results['img'].shape == (448, 448, 3)
        assert (results['img'][:y0] == 0).all()
        assert (results['img'][y1:] == 0).all()
        assert (results['img'][y0:y1] > 0).all()
        starts.add(y0)
    assert len(starts) > 10


def test_large_image_is_cropped():
    source = image_of(600, 700)
    results = RandomPlaceCrop(448)(dict(source))
    assert results['valid_box'] == [0, 448, 0, 448]
    corner = results['img'][:3, :3]
    found = np.lib.stride_tricks.sliding_window_view(source['img'], (3, 3, 3))[:, :, 0]
    (y,), (x,) = np.nonzero((found == corner).all(axis=(2, 3, 4)))
    assert (source['img'][y:y + 448, x:x + 448] == results['img']).all()


def test_scale_range():
    for seed in range(20):
        np.random.seed(seed)
        height, width = RandomScale((0.5, 2.0))(image_of(100, 80))['img'].shape[:2]
        assert 50 <= height <= 200
        assert abs(width - 0.8 * height) < 1.8
    with pytest.raises(ValueError, match='ratio_range'):
        RandomScale((0, 1))


@pytest.mark.parametrize('flip_box', [False, True])
@pytest.mark.parametrize('register', [False, True])
def test_published_quirks_are_switches(flip_box, register):
    views = ToCoViews(crop_size=64, scale_range=(1, 1), flip_box=flip_box, register_local_view=register)
    mirrored_box, registered = [], []
    for seed in range(60):
        np.random.seed(seed)
        results = views(image_of(64, 40))
        x0, x1 = results['valid_box'][2:]
        content = np.flatnonzero(results['img'].any(axis=(0, 2)))
        mirrored_box.append((content[0], content[-1] + 1) == (x0, x1))
        registered.append((results['img'] == results['views']['local']).all())
        assert results['views']['global2'].shape == (64, 64, 3)
    assert all(mirrored_box) == flip_box
    assert all(registered) == register
    assert any(mirrored_box)
    assert any(registered)
