import numpy as np
import pytest
import torch

from mmwsss.models import PixelAdaptiveRefinement
from mmwsss.registry import MODELS


def worked_example():
    red = torch.tensor([[0., 0., 1.], [0., 0.5, 1.], [0., 1., 1.]])
    corner = torch.zeros(3, 3)
    corner[0, 0] = 1
    return torch.stack([red, 0.5 * red, 1 - red])[None], torch.stack([corner, 1 - corner])[None]


def naive_par(image, masks, dilations, iters):
    """Pixel by pixel in float64: image (C, H, W), masks (M, H, W), numpy."""
    _, height, width = image.shape
    offsets = [(dy * d, dx * d) for d in dilations for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]
    rho = np.array([np.hypot(dy, dx) for dy, dx in offsets])
    position = np.exp(-(rho / (rho.std(ddof=1) + 1e-8) / 0.3)**2)
    position /= position.sum()

    def neighbors(planes, y, x):
        ys = [min(max(y + dy, 0), height - 1) for dy, _ in offsets]
        xs = [min(max(x + dx, 0), width - 1) for _, dx in offsets]
        return planes[:, ys, xs]

    weights = np.zeros((len(offsets), height, width))
    for y, x in np.ndindex(height, width):
        values = neighbors(image, y, x)
        delta = np.abs(values - image[:, y, x, None])
        scaled = delta / (values.std(axis=1, ddof=1, keepdims=True) + 1e-8) / 0.3
        color = np.exp(-(scaled**2).mean(0) + (scaled**2).mean(0).min())
        weights[:, y, x] = color / color.sum() + 0.01 * position
    for _ in range(iters):
        out = np.zeros_like(masks)
        for y, x in np.ndindex(height, width):
            out[:, y, x] = neighbors(masks, y, x) @ weights[:, y, x]
        masks = out
    return masks


def test_worked_example_one_dilation():
    image, masks = worked_example()
    out = PixelAdaptiveRefinement(dilations=(1, ), num_iters=1)(image, masks)
    expected = torch.tensor([[.433571, .502498, 0], [.335833, .125, 0], [0, 0, 0]])
    torch.testing.assert_close(out[0, 0], expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(out[0, 1], 1.01 - expected, atol=1e-6, rtol=0)


def test_worked_example_two_dilations():
    image, masks = worked_example()
    out = PixelAdaptiveRefinement(dilations=(1, 2), num_iters=2)(image, masks)
    expected = torch.tensor([[.435302, .451722, .001256], [.371606, .198876, .000313], [.296143, .000813, 0]])
    torch.testing.assert_close(out[0, 0], expected, atol=1e-6, rtol=0)


def test_worked_example_weights():
    affinity = PixelAdaptiveRefinement(dilations=(1, )).affinity(worked_example()[0])
    expected = torch.tensor([.125, .1275, .125, .1275, .1275, .125, .1275, .125])
    torch.testing.assert_close(affinity[0, :, 1, 1], expected, atol=1e-6, rtol=0)
    position = PixelAdaptiveRefinement(position_weight=1.).position_weights()
    assert position.shape == (48, )
    np.testing.assert_allclose(position[[0, 1, 8, 9]], [.0682598, .0764534, .0345760, .0544129], atol=1e-7)


def test_constant_mask_is_scaled_by_the_weight_sum():
    torch.manual_seed(0)
    images, ones = torch.rand(2, 3, 30, 21), torch.ones(2, 1, 30, 21)
    out = PixelAdaptiveRefinement()(images, ones)
    torch.testing.assert_close(out, torch.full_like(ones, 1.01**10), atol=1e-5, rtol=0)
    affinity = PixelAdaptiveRefinement().affinity(images)
    assert affinity.shape == (2, 48, 30, 21)
    torch.testing.assert_close(affinity.sum(1), torch.full((2, 30, 21), 1.01), atol=1e-5, rtol=0)


@pytest.mark.parametrize('shape', [(9, 13), (1, 7), (5, 1)])
def test_against_pixelwise_reference(shape):
    rng = np.random.default_rng(0)
    image, masks = rng.random((3, *shape)), rng.random((4, *shape))
    out = PixelAdaptiveRefinement(num_iters=3)(torch.tensor(image)[None], torch.tensor(masks)[None])
    assert out.dtype == torch.float64
    np.testing.assert_allclose(out[0], naive_par(image, masks, (1, 2, 4, 8, 12, 24), 3), atol=1e-9)
    single = PixelAdaptiveRefinement(num_iters=3)(torch.tensor(image)[None].float(),
                                                  torch.tensor(masks)[None].float())
    np.testing.assert_allclose(single[0], out[0], atol=1e-5)


def test_pixel_that_differs_from_a_nearly_flat_surrounding():
    """Small deviations on a large difference: a one-pass variance would lose them in float32."""
    rng = np.random.default_rng(0)
    image = np.full((3, 9, 9), 0.25, np.float32)
    image += rng.random(image.shape).astype(np.float32) * 1e-2
    image[:, 4, 4] = 0.9
    masks = rng.random((1, 9, 9)).astype(np.float32)
    out = PixelAdaptiveRefinement(num_iters=1)(torch.tensor(image)[None], torch.tensor(masks)[None])
    expected = naive_par(image.astype(np.float64), masks.astype(np.float64), (1, 2, 4, 8, 12, 24), 1)
    np.testing.assert_allclose(out[0], expected, atol=2e-4)


def test_batch_is_independent_and_inputs_stay():
    torch.manual_seed(0)
    images, masks = torch.rand(3, 3, 17, 19), torch.rand(3, 5, 17, 19, requires_grad=True)
    kept = images.clone(), masks.detach().clone()
    par = PixelAdaptiveRefinement(num_iters=4)
    out = par(images, masks)
    assert not out.requires_grad
    assert torch.equal(images, kept[0])
    assert torch.equal(masks, kept[1])
    for index in range(3):
        assert torch.equal(out[index:index + 1], par(images[index:index + 1], masks[index:index + 1]))
        torch.testing.assert_close(out[:, index:index + 1], par(images, masks[:, index:index + 1]))


def test_masks_are_resized_with_aligned_corners():
    torch.manual_seed(0)
    images, masks = torch.rand(1, 3, 12, 10), torch.rand(1, 2, 4, 5)
    large = torch.nn.functional.interpolate(masks, (12, 10), mode='bilinear', align_corners=True)
    par = PixelAdaptiveRefinement(num_iters=2)
    assert torch.equal(par(images, masks), par(images, large))
    assert torch.equal(PixelAdaptiveRefinement(num_iters=0)(images, masks), large)


def test_units_of_color_do_not_matter_and_flat_images_blur():
    torch.manual_seed(0)
    images, masks = torch.rand(1, 3, 12, 10), torch.rand(1, 2, 12, 10)
    par = PixelAdaptiveRefinement(num_iters=2)
    torch.testing.assert_close(par(images, masks), par(images * 255, masks), atol=1e-5, rtol=0)
    flat = par.affinity(torch.full((1, 3, 6, 6), 0.3))
    expected = 1 / 48 + par.position_weights().float()
    torch.testing.assert_close(flat, expected[None, :, None, None].expand_as(flat))


def test_registered_and_checked():
    assert isinstance(MODELS.build(dict(type='PixelAdaptiveRefinement', num_iters=3)), PixelAdaptiveRefinement)
    with pytest.raises(ValueError, match='dilations'):
        PixelAdaptiveRefinement(dilations=(0, 1))
    with pytest.raises(ValueError, match='num_iters'):
        PixelAdaptiveRefinement(num_iters=-1)
    with pytest.raises(ValueError, match=r'\(2, 1, 4, 4\)'):
        PixelAdaptiveRefinement()(torch.rand(1, 3, 4, 4), torch.rand(2, 1, 4, 4))
