import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmwsss.models import DenseEnergyLoss
from mmwsss.models.utils import PermutohedralLattice
from mmwsss.registry import MODELS

MEAN = torch.tensor([123.675, 116.28, 103.53]).view(1, 3, 1, 1)
STD = torch.tensor([58.395, 57.12, 57.375]).view(1, 3, 1, 1)


def energy_and_grad(loss, images, probs, rois, labels):
    probs = probs.clone().requires_grad_()
    value = loss(images, probs, rois, labels)
    value.backward()
    return value.item(), probs.grad


def two_by_two():
    images = torch.tensor([[[0., 10.], [0., 200.]], [[0., 10.], [5., 200.]], [[0., 10.], [0., 200.]]])[None]
    probs = torch.tensor([[[.9, .6], [.5, .2]], [[.1, .4], [.5, .8]]])[None]
    labels = torch.zeros(1, 2, 2, dtype=torch.long)
    labels[0, 1, 0] = 255
    return images, probs, torch.ones(1, 2, 2), labels


@pytest.mark.parametrize(('kernel', 'energy', 'grad'), [
    ('exact', -2.0194365, [-.3361748, -1.0921016, -3.4299322, -.08, -.1556422, -.6035804, -1.6741845, -.32]),
    ('lattice', -1.3639416, [-.291811, -.594512, -2.565651, -.035708, -.123062, -.314974, -1.132036, -.142831]),
])
def test_worked_example_two_by_two(kernel, energy, grad):
    loss = DenseEnergyLoss(weight=1, sigma_rgb=15, sigma_xy=50, scale_factor=1, kernel=kernel)
    value, gradient = energy_and_grad(loss, *two_by_two())
    assert value == pytest.approx(energy, abs=1e-6)
    np.testing.assert_allclose(gradient.flatten(), grad, atol=1e-6)


def test_worked_example_kernel_row():
    """With probabilities that single out one pixel the exact gradient is a row of the kernel."""
    images = two_by_two()[0]
    probs = torch.zeros(1, 1, 2, 2)
    probs[..., 0, 0] = 1
    loss = DenseEnergyLoss(weight=1, sigma_xy=50, scale_factor=1, kernel='exact')
    _, gradient = energy_and_grad(loss, images, probs, torch.ones(1, 2, 2), torch.full((1, 2, 2), 255))
    np.testing.assert_allclose(gradient.flatten() / -2, [1, .513314, .945770, 0], atol=1e-6)


def test_worked_example_constant_image():
    loss = DenseEnergyLoss(weight=1, sigma_xy=50, scale_factor=1)
    value, gradient = energy_and_grad(loss, torch.full((1, 3, 1, 2), 100.),
                                      torch.tensor([[[[.75, .5]], [[.25, .5]]]]), torch.tensor([[[1, 0]]]),
                                      torch.zeros(1, 1, 2, dtype=torch.long))
    assert value == pytest.approx(-.0772637, abs=1e-6)
    np.testing.assert_allclose(gradient.flatten(), [-.1854329, 0, -.0618110, 0], atol=1e-6)


def full_path(kernel):
    images = torch.zeros(1, 3, 8, 8)
    images[..., :4] = 1
    logits = torch.zeros(1, 3, 8, 8)
    logits[:, 1, :, :4] = 2
    logits[:, 0, :, 4:] = 1
    labels = torch.full((1, 8, 8), 255)
    labels[:, :, :3] = 2
    labels[:, :, 5:] = 0
    rois = torch.zeros(1, 8, 8)
    rois[:, :, :6] = 1
    logits.requires_grad_()
    value = DenseEnergyLoss(kernel=kernel)(images * STD + MEAN, logits.softmax(1), rois, labels)
    value.backward()
    return value.item() * 1e7, logits.grad[0, :, 0] * 1e7


def test_worked_example_full_path():
    value, gradient = full_path('exact')
    assert value == pytest.approx(-15.492155, abs=1e-5)
    expected = [[.04856] * 4 + [-.17774] * 2 + [0, 0], [-.09712] * 4 + [.08887] * 2 + [0, 0],
                [.04856] * 4 + [.08887] * 2 + [0, 0]]
    np.testing.assert_allclose(gradient, expected, atol=1e-5)
    value, gradient = full_path('lattice')
    assert value == pytest.approx(-7.77854, abs=1e-5)
    assert (gradient[:, 6:] == 0).all()


def random_scene(batch=2, classes=4, size=12, seed=0):
    torch.manual_seed(seed)
    images = F.interpolate(torch.rand(batch, 3, 4, 4), (size, size), mode='bicubic').clamp(0, 1) * 255
    probs = torch.randn(batch, classes, size, size).mul(2).softmax(1)
    rois = torch.zeros(batch, size, size)
    rois[:, 1:size - 2, 2:] = 1
    labels = torch.randint(0, classes, (batch, size, size))
    labels[torch.rand(batch, size, size) < 0.3] = 255
    return images, probs, rois, labels


def dense_reference(image, probs, roi, labels, sigma_xy, sigma_rgb):
    """One image, no scaling, every pair of pixels in float64. Gives energy and gradient."""
    _, height, width = image.shape
    image, probs, roi = (np.asarray(part, np.float64) for part in (image, probs, roi))
    rows, cols = np.mgrid[:height, :width].reshape(2, -1)
    colors = image.reshape(3, -1)
    exponent = (rows[:, None] - rows)**2 + (cols[:, None] - cols)**2
    kernel = np.exp(-exponent / (2 * sigma_xy**2) -
                    ((colors[:, :, None] - colors[:, None])**2).sum(0) / (2 * sigma_rgb**2))
    gate = np.maximum(roi - probs.max(0), 0)
    gate[np.asarray(labels) == 255] = 1
    masked = probs * roi
    filtered = (masked.reshape(len(probs), -1) @ kernel).reshape(probs.shape) * gate
    return -(masked * filtered).sum(), -2 * filtered * roi


@pytest.mark.parametrize('pairs_at_once', [2**24, 1000])
def test_exact_against_dense_reference(pairs_at_once, monkeypatch):
    monkeypatch.setattr('mmwsss.models.losses.dense_energy._PAIRS_AT_ONCE', pairs_at_once)
    images, probs, rois, labels = random_scene()
    loss = DenseEnergyLoss(weight=0.5, sigma_rgb=20, sigma_xy=7, scale_factor=1, kernel='exact', kernel_scale=0.55)
    value, gradient = energy_and_grad(loss, images, probs, rois, labels)
    parts = [dense_reference(*one, 7, 20) for one in zip(images, probs, rois, labels)]
    assert value == pytest.approx(0.5 * 0.55 * np.mean([part[0] for part in parts]), rel=1e-5)
    for index in range(2):
        np.testing.assert_allclose(gradient[index], 0.5 * 0.55 * parts[index][1] / 2, rtol=1e-4, atol=1e-6)


def test_scaling_samples_nearest_and_bilinear():
    images, probs, rois, labels = random_scene(size=16)
    small = DenseEnergyLoss(weight=1, sigma_xy=5, scale_factor=1, kernel='exact')
    expected = small(images[..., ::2, ::2], F.avg_pool2d(probs, 2), rois[..., ::2, ::2], labels[..., ::2, ::2])
    value = DenseEnergyLoss(weight=1, sigma_xy=10, scale_factor=0.5, kernel='exact')(images, probs, rois, labels)
    torch.testing.assert_close(value, expected)


@pytest.mark.parametrize('kernel', ['exact', 'lattice'])
def test_gradient_against_finite_differences(kernel):
    """Without labels the gate is 1 whatever the probabilities: a quadratic form, its differences exact at any step.

    The exact kernel is symmetric. The lattice is so up to a few per cent: its differences are those of the mean of
    the filter and its transpose, and the gradient, which takes the filter for symmetric, lies close.
    """
    images, probs, _, _ = random_scene(batch=1, size=10)
    ones, unlabeled = torch.ones(1, 10, 10), torch.full((1, 10, 10), 255)
    loss = DenseEnergyLoss(weight=1, sigma_rgb=30, sigma_xy=5, scale_factor=1, kernel=kernel)
    _, gradient = energy_and_grad(loss, images, probs, ones, unlabeled)
    differences = torch.empty(100)
    for pixel in range(100):
        step = torch.zeros_like(probs)
        step[0, 1].view(-1)[pixel] = 1
        ahead, behind = (loss(images, probs + sign * step, ones, unlabeled) for sign in (1, -1))
        differences[pixel] = (ahead - behind) / 2
    gradient = gradient[0, 1].flatten()
    if kernel == 'exact':
        np.testing.assert_allclose(gradient, differences, rtol=2e-3)
        return
    grid = torch.stack(torch.meshgrid(torch.arange(10), torch.arange(10), indexing='xy')) / 5
    lattice = PermutohedralLattice(torch.cat([grid[None], images / 30], 1).flatten(2))
    both = lattice.filter(probs.flatten(2)) + lattice.filter(probs.flatten(2), reverse=True)
    np.testing.assert_allclose(-both[0, 1], differences, rtol=2e-3)
    assert (gradient - differences).norm() < 0.1 * differences.norm()


@pytest.mark.parametrize('kernel', ['exact', 'lattice'])
def test_batch_is_the_mean_of_singles(kernel):
    scene = random_scene(batch=3)
    loss = DenseEnergyLoss(weight=1, sigma_xy=10, kernel=kernel)
    value, gradient = energy_and_grad(loss, *scene)
    singles = [energy_and_grad(loss, *(part[index:index + 1] for part in scene)) for index in range(3)]
    assert value == pytest.approx(np.mean([single[0] for single in singles]), rel=1e-5)
    for index in range(3):
        torch.testing.assert_close(gradient[index], singles[index][1][0] / 3, rtol=1e-4, atol=1e-6)


def test_only_the_valid_region_counts():
    images, probs, rois, labels = random_scene()
    loss = DenseEnergyLoss(scale_factor=1)
    value, gradient = energy_and_grad(loss, images, probs, rois, labels)
    assert value < 0
    assert (gradient[(rois == 0)[:, None].expand_as(gradient)] == 0).all()
    other = torch.where(rois[:, None] > 0, probs, torch.rand_like(probs))
    assert energy_and_grad(loss, images, other, rois, labels)[0] == pytest.approx(value)


def test_nothing_valid_is_zero_and_connected():
    images, probs, rois, labels = random_scene()
    for kernel in ('exact', 'lattice'):
        value, gradient = energy_and_grad(DenseEnergyLoss(kernel=kernel), images, probs, torch.zeros_like(rois), labels)
        assert value == 0
        assert (gradient == 0).all()


def test_low_precision_is_computed_in_float32():
    images, probs, rois, labels = random_scene()
    loss = DenseEnergyLoss(weight=1)
    full = loss(images, probs, rois, labels)
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(loss(images, probs, rois, labels), full)
    assert loss(images, probs.bfloat16(), rois.bool(), labels).dtype == torch.float32


def test_registered_and_checked():
    assert isinstance(MODELS.build(dict(type='DenseEnergyLoss', kernel='exact')), DenseEnergyLoss)
    with pytest.raises(ValueError, match="'gauss'"):
        DenseEnergyLoss(kernel='gauss')
    with pytest.raises(ValueError, match='sigma_rgb'):
        DenseEnergyLoss(sigma_rgb=0)
    images, probs, rois, labels = random_scene()
    with pytest.raises(ValueError, match='labels'):
        DenseEnergyLoss()(images, probs, rois, labels[:, 1:])
