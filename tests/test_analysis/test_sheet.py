import numpy as np
import pytest

from mmwsss.analysis import color_labels, compose_sheet, fit_cell, heat_overlay, write_caption

GREY = np.full((10, 20, 3), 100, np.uint8)


def test_heat_runs_from_blue_to_red_over_the_gray_image():
    image = np.full((1, 3, 3), (200, 0, 0), np.uint8)
    drawn = heat_overlay(image, np.array([[0., .5, 1.]]), alpha=.5).astype(int)
    red, green, blue = drawn[0].T
    assert blue[0] > red[0]
    assert green[1] > max(green[0], green[2])
    assert red[2] > blue[2]
    assert (heat_overlay(image, np.zeros((1, 3)), alpha=0.) == 60).all()


def test_heat_of_another_size_is_resized():
    assert heat_overlay(GREY, np.random.default_rng(0).random((3, 4))).shape == GREY.shape


def test_labels_get_their_colors_and_others_gray():
    drawn = color_labels(np.array([[0, 1, 255, -1, 7]]), [(0, 0, 0), (10, 20, 30)])
    assert drawn[0].tolist() == [[0, 0, 0], [10, 20, 30], [224] * 3, [224] * 3, [224] * 3]


@pytest.mark.parametrize(('shape', 'inner'), [((10, 20), (30, 60)), ((20, 10), (40, 20)), ((200, 300), (40, 60))])
def test_pictures_keep_their_aspect_in_a_cell(shape: tuple, inner: tuple):
    cell = fit_cell(np.zeros((*shape, 3), np.uint8), (60, 40))
    assert cell.shape == (40, 60, 3)
    rows, columns = np.nonzero((cell == 0).all(2))
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == inner


def test_label_maps_are_not_blurred():
    labels = color_labels(np.random.default_rng(0).integers(0, 2, (9, 9)), [(0, 0, 0), (255, 0, 0)])
    assert set(np.unique(fit_cell(labels, (32, 32), smooth=False))) == {0, 255}


def test_captions_are_written_and_shortened():
    cell = np.full((40, 60, 3), 100, np.uint8)
    assert write_caption(cell, '') is cell
    drawn = write_caption(cell, 'dog')
    assert drawn[-20:].max() == 255
    np.testing.assert_array_equal(drawn[:20], cell[:20])
    np.testing.assert_array_equal(write_caption(cell, 'word ' * 40)[:, -5:], write_caption(cell, 'w')[:, -5:])


def test_sheet_holds_its_cells_titles_and_legend():
    rng = np.random.default_rng(0)
    rows = [[rng.integers(0, 256, (30, 50, 3)).astype(np.uint8) for _ in range(2)] for _ in range(3)]
    sheet = compose_sheet(rows, ['a', 'b'], [('dog', (255, 0, 0))], 'heading')
    windows = np.lib.stride_tricks.sliding_window_view(sheet[..., 0], (30, 50))
    corners = [[np.argwhere((windows == cell[..., 0]).all((2, 3)))[0].tolist() for cell in row] for row in rows]
    assert corners[0][1][1] - corners[0][0][1] == 50 + 4
    assert corners[1][0][0] - corners[0][0][0] == 30 + 4
    assert (sheet[corners[2][0][0] + 30:] == (255, 0, 0)).all(2).any()
    bare = compose_sheet(rows, ['a', 'b'])
    assert bare.shape[0] < sheet.shape[0]


def test_a_long_legend_is_wrapped():
    legend = [(f'class number {i}', (i, i, i)) for i in range(30)]
    heights = [compose_sheet([[GREY] * 12], ['x'] * 12, legend[:count]).shape[0] for count in (1, 30)]
    assert heights[1] > heights[0] + 48


def test_rows_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match='2 cells of one size'):
        compose_sheet([[GREY, GREY], [GREY]], ['a', 'b'])
    with pytest.raises(ValueError, match='sizes'):
        compose_sheet([[GREY, GREY[:5]]], ['a', 'b'])
    with pytest.raises(ValueError, match='cells'):
        compose_sheet([], ['a'])
