import pickle
import sys

import numpy as np
import pytest
import torch

from mmwsss.models import DenseCRF
from mmwsss.models.label_steps import CRF_PRESETS, label_probabilities
from mmwsss.registry import MODELS

pytest.importorskip('pydensecrf.densecrf', reason='the optional pydensecrf2 is not installed')


def two_halves():
    """6x8 image of two colors and one CAM that falls off to the right and downwards."""
    image = np.empty((6, 8, 3), np.uint8)
    image[:, :4] = (40, 80, 120)
    image[:, 4:] = (200, 60, 30)
    rows, cols = np.mgrid[:6, :8]
    return image, np.clip(np.round(0.9 - 0.1 * cols - 0.02 * rows, 4), 0, 1)


def with_background(cam, alpha):
    return np.stack([(1 - cam)**alpha, cam])


def test_worked_example_one_iteration():
    image, cam = two_halves()
    crf = DenseCRF(**{**CRF_PRESETS['mctformer_cam'], 'num_iters': 1})
    out = crf(image, with_background(cam, 1))
    np.testing.assert_allclose(out[1, 0], [.99912, .99755, .99497, .99037, .01693, .00860, .00478, .00242], atol=1e-3)
    np.testing.assert_allclose(out[1, 5], [.99773, .99496, .99049, .98302, .01031, .00490, .00244, .00094], atol=1e-3)
    np.testing.assert_allclose(out.sum(0), 1, atol=1e-5)


def test_worked_example_ten_iterations():
    image, cam = two_halves()
    crf = DenseCRF.from_preset('mctformer_cam')
    foreground = crf(image, with_background(cam, 1)).argmax(0)
    assert foreground.tolist() == [[1] * 4 + [0] * 4] * 6
    assert crf(image, with_background(cam, 12)).argmax(0).all()


def naive_mean_field(image, probs, setting):
    """Every pair of pixels, symmetric normalization, Potts; float64."""
    classes, height, width = probs.shape
    unary = -np.log(np.clip(probs.reshape(classes, -1), 1e-5, 1))
    position = np.stack(np.mgrid[:height, :width], -1).reshape(-1, 2).astype(float)
    colors = image.reshape(-1, 3).astype(float)
    kernels = []
    for xy, rgb, compat in ((setting['gaussian_sxy'], None, setting['gaussian_compat']),
                            (setting['bilateral_sxy'], setting['bilateral_srgb'], setting['bilateral_compat'])):
        features = position / xy if rgb is None else np.concatenate([position / xy, colors / rgb], 1)
        kernel = np.exp(-0.5 * ((features[:, None] - features)**2).sum(-1))
        norm = 1 / np.sqrt(kernel.sum(1) + 1e-20)
        kernels.append(compat * norm[:, None] * kernel * norm)
    kernel = sum(kernels)

    def softmax(energy):
        weights = np.exp(energy - energy.max(0))
        return weights / weights.sum(0)

    marginals = softmax(-unary)
    for _ in range(setting['num_iters']):
        marginals = softmax(-unary + marginals @ kernel)
    return marginals.reshape(probs.shape)


def test_close_to_naive_mean_field():
    """The library approximates the Gaussian sums on a lattice: probabilities agree to a few thousandths."""
    rng = np.random.default_rng(0)
    image = np.kron(rng.integers(0, 255, (2, 3, 3)), np.ones((6, 4, 1))).astype(np.uint8)
    probs = rng.dirichlet(np.ones(3), image.shape[:2]).transpose(2, 0, 1)
    setting = dict(num_iters=5, gaussian_sxy=1, gaussian_compat=1, bilateral_sxy=10, bilateral_srgb=20,
                   bilateral_compat=2)
    out, expected = DenseCRF(**setting)(image, probs), naive_mean_field(image, probs, setting)
    assert np.abs(out - expected).mean() < 0.006
    assert (out.argmax(0) == expected.argmax(0)).mean() > 0.95
    assert np.abs(probs - expected).mean() > 0.05, 'the CRF has an effect here'


@pytest.mark.parametrize(('preset', 'labels'), [('weaktr_label_voc', 3), ('weaktr_label_coco', 3),
                                                ('transcam_label', 21)])
def test_worked_example_labels(preset, labels):
    image = np.zeros((8, 8, 3), np.uint8)
    image[:, 4:] = 200
    clean = (np.arange(8) >= 4).astype(int)[None].repeat(8, 0)
    noisy = clean.copy()
    noisy[2, 1] = noisy[0, 0] = noisy[1, 0] = 1
    noisy[5, 6] = 2
    out = DenseCRF.from_preset(preset)(image, label_probabilities(noisy, labels))
    assert np.array_equal(out.argmax(0), clean)


def test_several_probabilities_of_one_image():
    rng = np.random.default_rng(3)
    image = rng.integers(0, 255, (20, 24, 3)).astype(np.uint8)
    stacks = [rng.dirichlet(np.ones(3), (20, 24)).transpose(2, 0, 1) for _ in range(3)]
    crf = DenseCRF.from_preset('mctformer_cam')
    for found, probs in zip(crf.refine_all(image, stacks), stacks):
        np.testing.assert_array_equal(found, crf(image, probs))
    assert crf.refine_all(image, []) == []
    with pytest.raises(ValueError, match='do not fit'):
        crf.refine_all(image, [stacks[0], stacks[1][:2]])


def test_reduced_size_is_the_crf_of_the_reduced_image():
    image = np.kron(np.random.default_rng(0).integers(0, 256, (7, 9, 3)), np.ones((2, 2, 1))).astype(np.uint8)
    probs = np.kron(np.random.default_rng(1).dirichlet((1, 1, 1), (7, 9)).transpose(2, 0, 1), np.ones((1, 2, 2)))
    setting = dict(num_iters=3, gaussian_sxy=3, gaussian_compat=3, bilateral_sxy=20, bilateral_srgb=13,
                   bilateral_compat=10)
    out = DenseCRF(**setting, stride=2)(image, probs)
    assert out.shape == probs.shape
    small = DenseCRF(**{**setting, 'gaussian_sxy': 1.5, 'bilateral_sxy': 10})(image[::2, ::2], probs[:, ::2, ::2])
    np.testing.assert_allclose(out.sum(0), 1, atol=1e-5)
    np.testing.assert_allclose(out[:, ::13, ::17], small[:, ::6, ::8], atol=1e-5, err_msg='corners stay what they are')
    assert (DenseCRF(**setting, stride=3)(image[:13], probs[:, :13]) >= 0).all(), 'sides need not be multiples'


def test_label_probabilities():
    labels = np.array([[0, 2], [1, 1]])
    unary = -np.log(label_probabilities(labels, 3))
    np.testing.assert_allclose(unary[:, 0, 1], [1.897120, 1.897120, .356675], atol=1e-6)
    np.testing.assert_allclose(-np.log(label_probabilities(labels, 21))[0, 1, 1], 4.199705, atol=1e-6)
    for bad in (dict(num_labels=1), dict(num_labels=2), dict(num_labels=3, confidence=0)):
        with pytest.raises(ValueError, match='label'):
            label_probabilities(labels, **bad)


@pytest.mark.parametrize('preset', ['weaktr_label_voc', 'weaktr_label_coco'])
def test_crf_of_hard_labels_cleans_two_halves(preset):
    image = np.repeat(np.repeat(np.uint8([0, 200]), 4)[None, :, None], 8, axis=0).repeat(3, axis=2)
    clean = np.repeat([0, 1], 4)[None].repeat(8, axis=0)
    labels = clean.copy()
    labels[[2, 0], [1, 0]], labels[5, 6] = 1, 2
    found = DenseCRF.from_preset(preset)(image, label_probabilities(labels, 3)).argmax(0)
    assert (found == clean).all()


def test_same_kind_out_and_inputs_stay():
    image, cam = two_halves()
    probs = with_background(cam, 1)
    kept = image.copy(), probs.copy()
    crf = DenseCRF(num_iters=2)
    out = crf(image, probs)
    assert isinstance(out, np.ndarray)
    assert out.dtype == np.float32
    tensor = crf(torch.from_numpy(image), torch.from_numpy(probs).requires_grad_())
    assert isinstance(tensor, torch.Tensor)
    assert not tensor.requires_grad
    assert np.array_equal(tensor, out)
    flipped = crf(image[:, ::-1], probs[:, :, ::-1])
    np.testing.assert_allclose(flipped[:, :, ::-1], out, atol=0.05)
    assert np.array_equal(image, kept[0])
    assert np.array_equal(probs, kept[1])


def test_present_channels_only():
    image, cam = two_halves()
    probs = np.stack([1 - cam, np.zeros_like(cam), cam, np.zeros_like(cam)])
    crf = DenseCRF(num_iters=3)
    out = crf.refine_present(image, probs, [1, 0, 1, 0])
    assert np.array_equal(out[[0, 2]], crf(image, probs[[0, 2]]))
    assert (out[[1, 3]] == 0).all()
    tensor = crf.refine_present(image, torch.from_numpy(probs), torch.tensor([True, False, True, False]))
    assert np.array_equal(tensor, out)
    assert (crf.refine_present(image, probs, [1, 0, 0, 0])[0] == 1).all()
    with pytest.raises(ValueError, match='one or more of the 4'):
        crf.refine_present(image, probs, [0, 0, 0, 0])


def test_presets_and_registry():
    others = {'stride': 1, 'winners_only': False, 'backend': 'pydensecrf'}
    assert vars(DenseCRF()) == {**CRF_PRESETS['toco_seg'], **others}
    for name in CRF_PRESETS:
        assert vars(DenseCRF.from_preset(name)) == {**CRF_PRESETS[name], **others}
    with pytest.raises(ValueError, match="'toko'.*toco_seg"):
        DenseCRF.from_preset('toko')
    crf = MODELS.build(dict(type='DenseCRF', num_iters=3))
    assert vars(pickle.loads(pickle.dumps(crf))) == vars(crf)


def test_missing_package_names_the_install_line(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pydensecrf.densecrf', None)
    with pytest.raises(ImportError, match='pip install pydensecrf2'):
        DenseCRF()


def test_bad_input():
    with pytest.raises(ValueError, match='stride must be 1 or more, got 0'):
        DenseCRF(stride=0)
    image, cam = two_halves()
    crf = DenseCRF()
    with pytest.raises(TypeError, match='float32'):
        crf(image.astype(np.float32), with_background(cam, 1))
    with pytest.raises(ValueError, match=r'\(6, 8, 3\)'):
        crf(image, with_background(cam, 1)[:, 1:])
    with pytest.raises(ValueError, match='bilateral_srgb'):
        DenseCRF(bilateral_srgb=0)
    with pytest.raises(ValueError, match='num_iters'):
        DenseCRF(num_iters=-1)
