import pytest
import torch

from mmwsss.models.utils import crop_windows, sample_local_windows


def test_flags_of_all_windows():
    roi = torch.zeros(1, 16, 16, dtype=torch.uint8)
    roi[0, :4, :4] = 1
    roi[0, 12:, 12:] = 2
    corners, positive = sample_local_windows(roi, 8, 64)
    assert (~positive).sum() == 62
    assert len({tuple(corner) for corner in corners[0].tolist()}) == 64


def test_centres_are_not_certain_foreground():
    roi = torch.full((1, 16, 16), 2, dtype=torch.uint8)
    roi[0, 8, 8], roi[0, 4, 11] = 0, 1
    corners, positive = sample_local_windows(roi, 8, 2)
    assert {tuple(corner) for corner in corners[0].tolist()} == {(4, 4), (0, 7)}
    assert positive.all()


def test_too_few_candidates_take_all_inner_pixels():
    roi = torch.full((2, 20, 20), 2, dtype=torch.uint8)
    corners, _ = sample_local_windows(roi, 8, 100)
    assert corners.min() >= 0
    assert corners.max() < 12
    assert len({tuple(corner) for corner in corners[1].tolist()}) == 100


def test_a_seed_an_image_decides():
    roi = torch.zeros(2, 32, 32, dtype=torch.uint8)
    both, _ = sample_local_windows(roi, 8, 4, seeds=[1, 2])
    second, _ = sample_local_windows(roi[1:], 8, 4, seeds=[2])
    assert torch.equal(both[1], second[0])
    assert not torch.equal(both[0], both[1])


def test_windows_are_slices():
    images = torch.rand(2, 3, 12, 14)
    corners = torch.tensor([[[0, 0], [3, 6]], [[4, 2], [1, 1]]])
    crops = crop_windows(images, corners, 8)
    assert crops.shape == (2, 2, 3, 8, 8)
    assert torch.equal(crops[0, 1], images[0, :, 3:11, 6:14])
    assert torch.equal(crops[1, 0], images[1, :, 4:12, 2:10])


def test_windows_must_fit():
    with pytest.raises(ValueError, match='do not fit'):
        sample_local_windows(torch.zeros(1, 10, 10), 12, 1)
