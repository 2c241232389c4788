"""overlay and show_cams: pure functions from arrays to arrays."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from mmwsss.analysis import overlay, show_cams

IMAGE = np.full((60, 80, 3), 100, np.uint8)


def test_label_map_in_the_colors_of_its_classes():
    mask = np.zeros((60, 80), np.uint8)
    mask[10:30, 10:40] = 1
    mask[40:50, 50:70] = 255
    drawn = overlay(IMAGE, mask, palette=[(0, 0, 0), (200, 0, 100)], contours=False)
    np.testing.assert_array_equal(drawn[15, 15], [150, 50, 100])
    np.testing.assert_array_equal(drawn[mask != 1], IMAGE[mask != 1])  # background and ignored pixels
    assert (IMAGE == 100).all()
    outlined = overlay(IMAGE, mask, palette=[(0, 0, 0), (200, 0, 100)])
    np.testing.assert_array_equal(outlined[10, 20], [200, 0, 100])
    np.testing.assert_array_equal(outlined[20, 20], [150, 50, 100])


def test_names_stand_on_their_regions():
    mask = np.zeros((60, 80), np.int64)
    mask[20:50, 20:70] = 1
    plain, named = overlay(IMAGE, mask), overlay(IMAGE, mask, ['background', 'cat'])
    rows, columns = np.nonzero((plain != named).any(axis=2))
    assert 20 <= rows.mean() < 50
    assert 20 <= columns.mean() < 70


def test_cams_are_heat_maps():
    cams = np.zeros((2, 15, 20), np.float32)
    cams[1, :5] = 1
    drawn = overlay(IMAGE, cams).astype(int)
    assert drawn[5, 40, 0] > drawn[5, 40, 2]  # red where a map is high
    assert drawn[50, 40, 2] > drawn[50, 40, 0]  # blue where none is
    np.testing.assert_array_equal(drawn, overlay(IMAGE, cams.max(0)))
    np.testing.assert_array_equal(overlay(IMAGE, cams[:0]), overlay(IMAGE, np.zeros((15, 20), np.float32)))


def test_grid_of_cams():
    cams = np.random.default_rng(0).random((5, 15, 20))
    grid = show_cams(IMAGE, cams, list('abcde'), [.1, .2, .3, .4, .5], cell_size=(80, 60), columns=3)
    assert grid.dtype == np.uint8
    assert grid.shape[0] > 2 * 60
    assert 3 * 80 < grid.shape[1] < 4 * 80
    assert isinstance(show_cams(IMAGE, cams, list('abcde'), figure=True), Figure)


def test_wrong_arrays_are_refused():
    with pytest.raises(ValueError, match='both must have one size'):
        overlay(IMAGE, np.zeros((10, 10), np.uint8))
    with pytest.raises(ValueError, match='CAMs must be'):
        overlay(IMAGE, np.zeros((1, 1, 10, 10)))
    with pytest.raises(ValueError, match='5 CAMs, 2 names'):
        show_cams(IMAGE, np.zeros((5, 4, 4)), ['a', 'b'])
