from dataclasses import replace

import numpy as np
import pytest
import torch

from mmwsss.models import LabelBatch
from mmwsss.models.label_steps import MeanSubtractedColors, RoundTripColors

MEAN, STD = np.array([.485, .456, .406]), np.array([.229, .224, .225])


def batch_of(image):
    return LabelBatch.from_maps(image, torch.zeros(1, 1, *image.shape[-2:]), torch.tensor([0]), 2)


def every_color():
    return torch.arange(256, dtype=torch.uint8).expand(1, 3, 1, 256)


@pytest.mark.parametrize(('double', 'share'), [(True, .418), (False, .178)])
def test_colors_after_a_round_trip(double, share):
    """Each color stays or becomes one lower, 42 or 18 % of them."""
    levels = every_color()
    given = batch_of(levels)
    found = RoundTripColors(double).transform(given).images
    assert found.dtype == torch.uint8
    lower = levels.int() - found.int()
    assert set(lower.unique().tolist()) == {0, 1}
    assert lower.float().mean().item() == pytest.approx(share, abs=1e-3)
    assert torch.equal(given.images, levels)


@pytest.mark.parametrize('double', [True, False])
def test_against_the_arithmetic_on_an_image(double):
    image = np.random.default_rng(0).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    kind = np.float64 if double else np.float32
    normalized = ((image.astype(kind) / 255 - MEAN.astype(kind)) / STD.astype(kind)).astype(np.float32)
    restored = (normalized * STD.astype(np.float32) + MEAN.astype(np.float32)) * np.float32(255)
    expected = np.clip(restored, 0, 255).astype(np.uint8)
    found = RoundTripColors(double).transform(batch_of(torch.from_numpy(image).permute(2, 0, 1)[None]))
    np.testing.assert_array_equal(found.images[0].permute(1, 2, 0).numpy(), expected)


def test_padding_keeps_its_color():
    levels = every_color()
    found = RoundTripColors(True).transform(replace(batch_of(levels), boxes=torch.tensor([[0, 1, 0, 100]]))).images
    assert torch.equal(found[..., 100:], levels[..., 100:])
    assert torch.equal(found[..., :100], RoundTripColors(True).transform(batch_of(levels)).images[..., :100])


def test_colors_without_their_mean():
    """BGR; the decimals are cut off toward zero, and what is below zero wraps around."""
    image = torch.tensor([200, 100, 0], dtype=torch.uint8)[None, :, None, None]
    found = MeanSubtractedColors((104.5, 99.5, 10.)).transform(batch_of(image)).images
    assert found.flatten().tolist() == [256 - 104, 0, 190]
    plain = MeanSubtractedColors((0, 0, 0)).transform(batch_of(image)).images
    assert torch.equal(plain, image.flip(1))
    with pytest.raises(TypeError, match='MeanSubtractedColors needs images of 8 bits'):
        MeanSubtractedColors().transform(batch_of(torch.zeros(1, 3, 2, 2)))


def test_images_are_converted_once_and_must_have_8_bits():
    batch = batch_of(every_color())
    step = RoundTripColors()
    assert step.transform(batch).images is RoundTripColors().transform(batch).images
    assert step.transform(batch).images is not RoundTripColors(True).transform(batch).images
    assert step.identity() == {'type': 'RoundTripColors', 'double': False, 'mean': tuple(MEAN), 'std': tuple(STD)}
    with pytest.raises(TypeError, match=r'images of 8 bits, got torch.float32'):
        step.transform(batch_of(torch.zeros(1, 3, 2, 2)))
