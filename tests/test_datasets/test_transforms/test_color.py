import colorsys

import cv2
import numpy as np
import pytest

from mmwsss.datasets.transforms import HSVShift


def image(*colors):
    return dict(img=np.array([colors], np.uint8))


def test_shifts_are_whole_numbers_of_both_signs():
    shift = HSVShift(delta=10)
    np.random.seed(0)
    drawn = np.stack([shift._shifts() for _ in range(2000)])
    assert set(drawn.flatten()) == set(range(-10, 11))
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.1


def test_hue_wraps_around_and_the_others_are_clipped(monkeypatch):
    # Hue 176 of 180, full saturation and value; and dark, nearly gray.
    start = np.array([[[176, 255, 255], [60, 4, 6]]], np.uint8)
    shift = HSVShift(delta=10)
    monkeypatch.setattr(shift, '_shifts', lambda: np.array([8, 5, -9]))
    out = shift(dict(img=cv2.cvtColor(start, cv2.COLOR_HSV2BGR)))['img']
    red, green, blue = out[0, 0, ::-1] / 255
    hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
    assert hue * 180 == pytest.approx(4, abs=1)
    assert (saturation, value) == pytest.approx((1, 246 / 255), abs=0.01)
    assert (out[0, 1] == 0).all()
    assert out.dtype == np.uint8


def test_without_a_shift_colors_stay():
    shift = HSVShift(delta=0)
    before = image((10, 20, 200), (255, 255, 255), (0, 0, 0))
    out = shift(image((10, 20, 200), (255, 255, 255), (0, 0, 0)))['img']
    assert np.abs(out.astype(int) - before['img']).max() <= 4  # rounding to 8-bit HSV


def test_bad_argument():
    with pytest.raises(ValueError, match='delta must not be negative, got -1'):
        HSVShift(delta=-1)
