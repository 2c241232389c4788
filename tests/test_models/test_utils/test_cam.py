import pytest
import torch

from mmwsss.models.utils import cams_to_labels, cams_to_roi, mask_outside_boxes, normalize_cams

CAMS = torch.tensor([[.9, .6, .3, .2], [.95, .1, .8, .9], [.1, .7, .71, .25]])[None, :, None]
LABELS = torch.tensor([[1., 0., 1.]])


@pytest.mark.parametrize(('box', 'expected'), [
    ((0, 1, 0, 4), [1, 255, 3, 0]),
    ((0, 1, 0, 3), [1, 255, 3, 255]),
])
def test_two_thresholds(box, expected):
    labels = cams_to_labels(CAMS, LABELS, 0.25, 0.7, torch.tensor([box]))
    assert labels.flatten().tolist() == expected


def test_a_high_threshold_for_each_image():
    cams, labels = CAMS.repeat(3, 1, 1, 1), LABELS.repeat(3, 1)
    high = torch.tensor([.7, .85, .95])
    found = cams_to_labels(cams, labels, .25, high)
    assert torch.equal(found, torch.cat([cams_to_labels(CAMS, LABELS, .25, float(limit)) for limit in high]))
    assert found.flatten(1).tolist() == [[1, 255, 3, 0], [1, 255, 255, 0], [255, 255, 255, 0]]


def test_one_threshold():
    assert cams_to_labels(CAMS, LABELS, 0.5).flatten().tolist() == [1, 3, 3, 0]


def test_roi_counts_the_high_threshold_as_certain():
    assert cams_to_roi(CAMS, LABELS, 0.25, 0.7).flatten().tolist() == [2, 2, 2, 0]


@pytest.mark.parametrize(('box', 'tokens'), [((10, 440, 0, 448), 504), ((40, 400, 0, 448), 0)])
def test_pixel_box_on_a_token_grid(box, tokens):
    cams = torch.full((1, 1, 28, 28), 0.9)
    labels = cams_to_labels(cams, torch.ones(1, 1), 0.25, 0.7, torch.tensor([box]))
    assert (labels != 255).sum() == tokens


def test_thresholds_in_order():
    with pytest.raises(ValueError, match='high'):
        cams_to_labels(CAMS, LABELS, 0.7, 0.25)


def test_no_foreground_class_gives_background():
    assert cams_to_labels(CAMS, torch.zeros(1, 3), 0.5).flatten().tolist() == [0, 0, 0, 0]


def test_mask_outside_boxes_by_image():
    labels = torch.zeros(2, 3, 3, dtype=torch.long)
    masked = mask_outside_boxes(labels, torch.tensor([[0, 3, 0, 3], [1, 2, 0, 2]]))
    assert (masked[0] == 0).all()
    assert masked[1].tolist() == [[255] * 3, [0, 0, 255], [255] * 3]


def test_normalize():
    maps = torch.tensor([[-1., 0., 1., 3.]])[None]
    torch.testing.assert_close(normalize_cams(maps, 'max'), maps.relu() / (3 + 1e-5))
    torch.testing.assert_close(normalize_cams(maps, 'minmax'), (maps + 1) / (4 + 1e-5))
    torch.testing.assert_close(normalize_cams(maps + 2, 'relu_minmax'), (maps + 1) / (4 + 1e-5))
    torch.testing.assert_close(normalize_cams(maps, 'relu_minmax'), normalize_cams(maps, 'max'))
    assert normalize_cams(torch.full((1, 2, 2), -2.), 'max').eq(0).all()
    assert normalize_cams(torch.full((1, 2, 2), 5.), 'minmax').eq(0).all()
    with pytest.raises(ValueError, match='mode'):
        normalize_cams(maps, 'mean')


def test_shifted_minmax_of_the_worked_example():
    maps = torch.tensor([[[-1, 2], [4, .5]], [[1, 2], [3, 5]]], dtype=torch.double)
    expected = torch.tensor([[[-2.5e-6, .499996], [.999995, .124997]], [[-.250002, .249997], [.499996, .999995]]])
    torch.testing.assert_close(normalize_cams(maps, 'shifted_minmax'), expected.double(), atol=1e-6, rtol=0)
    assert normalize_cams(maps, 'shifted_minmax')[0, 0, 0].item() == pytest.approx(-2.5e-6, rel=1e-4)
