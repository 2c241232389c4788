import numpy as np
import pytest
import torch

from mmwsss.datasets import seeded_sample
from mmwsss.datasets.transforms import NoiseErasing
from mmwsss.registry import MODELS, TRANSFORMS

RGB_MEAN, RGB_STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
BGR = dict(mean=RGB_MEAN[::-1], std=RGB_STD[::-1])


def erase(image, draw, **options):
    with seeded_sample(0, draw):
        return TRANSFORMS.build(dict(type='NoiseErasing', **BGR, **options))(dict(img=image))['img']


def box_of(before, after):
    """Give (top, left, bottom, right) of what differs."""
    rows, cols = np.nonzero((before != after).any(-1))
    return rows.min(), cols.min(), rows.max() + 1, cols.max() + 1


def test_noise_is_standard_normal_behind_the_preprocessor():
    preprocessor = MODELS.build(dict(type='SegDataPreProcessor', mean=RGB_MEAN, std=RGB_STD, bgr_to_rgb=True))
    image = np.full((224, 224, 3), 70, np.uint8)
    noise = []
    for draw in range(12):
        erased = erase(image, draw, prob=1.)
        assert erased.dtype == np.float32
        top, left, bottom, right = box_of(image, erased)
        inputs = preprocessor(dict(inputs=[torch.from_numpy(erased.transpose(2, 0, 1))]))['inputs'][0]
        noise.append(inputs[:, top:bottom, left:right].flatten(1))
        outside = np.ones((224, 224), bool)
        outside[top:bottom, left:right] = False
        assert (erased[outside] == 70).all()
    noise = torch.cat(noise, 1)
    assert noise.shape[1] > 50_000
    torch.testing.assert_close(noise.mean(1), torch.zeros(3), atol=0.01, rtol=0)
    torch.testing.assert_close(noise.std(1), torch.ones(3), atol=0.01, rtol=0)
    tails = torch.stack([(noise < -2.2).float().mean(1), (noise > 2.7).float().mean(1)])
    expected = torch.special.ndtr(torch.tensor([[-2.2], [-2.7]])).expand(2, 3)
    torch.testing.assert_close(tails, expected, atol=1.5e-3, rtol=0)  # nothing is clipped to 8 bits
    torch.testing.assert_close(torch.corrcoef(noise), torch.eye(3), atol=0.02, rtol=0)


def test_boxes_follow_the_published_law():
    image = np.zeros((100, 200, 3), np.uint8)
    erased = [erase(image, draw) for draw in range(1200)]
    touched = [after for after in erased if after.dtype == np.float32]
    assert len(touched) / len(erased) == pytest.approx(0.25, abs=0.04)
    assert not image.any(), 'the pipeline may still hold the original'
    boxes = np.array([box_of(image, after) for after in touched])
    heights, widths = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    areas, aspects = heights * widths / 20_000, heights / widths
    assert 0.018 < areas.min() < 0.05
    assert 0.28 < areas.max() < 0.345
    assert 0.28 < aspects.min() < 0.4
    assert 2.5 < aspects.max() < 3.5
    assert np.median(np.log(aspects)) == pytest.approx(0, abs=0.25)
    assert heights.max() < 100, 'a box as high as the image is drawn again'
    assert (boxes[:, 2] <= 100).all()
    assert (boxes[:, 3] <= 200).all()


def test_an_image_that_no_box_fits_stays():
    image = np.zeros((1, 50, 3), np.uint8)
    assert erase(image, 0, prob=1.) is image


def test_seed_decides_and_settings_are_checked():
    image = np.zeros((32, 32, 3), np.uint8)
    np.testing.assert_array_equal(erase(image, 3, prob=1.), erase(image, 3, prob=1.))
    assert (erase(image, 3, prob=1.) != erase(image, 4, prob=1.)).any()
    with pytest.raises(ValueError, match=r'prob .* 1\.5'):
        NoiseErasing(**BGR, prob=1.5)
    with pytest.raises(ValueError, match=r'area_range .*0\.5, 0\.2'):
        NoiseErasing(**BGR, area_range=(0.5, 0.2))
