from collections import defaultdict

import numpy as np
import pytest
import torch

from mmwsss.models.utils import PermutohedralLattice


def corners_of(feature):
    """Lattice corners and weights around one point: nearest remainder-0 point, ranks, barycentric weights."""
    dims = len(feature)
    basis = np.zeros((dims + 1, dims))
    for axis in range(dims):
        basis[:axis + 1, axis] = 1
        basis[axis + 1, axis] = -(axis + 1)
        basis[:, axis] /= np.sqrt((axis + 1) * (axis + 2))
    position = basis @ feature * (dims + 1) * np.sqrt(2 / 3)
    origin = np.round(position / (dims + 1)) * (dims + 1)
    order = np.argsort(-(position - origin), kind='stable')
    rank = np.empty(dims + 1, int)
    rank[order] = np.arange(dims + 1)
    rank += int(origin.sum()) // (dims + 1)
    origin += np.where(rank < 0, dims + 1, 0) - np.where(rank > dims, dims + 1, 0)
    rank += np.where(rank < 0, dims + 1, 0) - np.where(rank > dims, dims + 1, 0)
    ranked = np.sort((position - origin) / (dims + 1))[::-1]
    for remainder in range(dims + 1):
        corner = origin + np.where(rank <= dims - remainder, remainder, remainder - dims - 1)
        above = ranked[dims - remainder]
        below = ranked[dims + 1 - remainder] if remainder else ranked[0] - 1
        yield tuple(corner.astype(int)), above - below


def naive_filter(features, values):
    """Splat, blur and slice with a dictionary: features (N, D), values (N, K)."""
    dims = features.shape[1]
    lattice = defaultdict(lambda: np.zeros(values.shape[1]))
    simplices = [list(corners_of(feature)) for feature in features]
    for simplex, value in zip(simplices, values):
        for corner, weight in simplex:
            lattice[corner] += weight * value
    for direction in range(dims + 1):
        step = -np.ones(dims + 1, int)
        step[direction] = dims
        blurred = {}
        for corner, value in lattice.items():
            blurred[corner] = value.copy()
            for sign in (1, -1):
                neighbor = tuple(np.array(corner) + sign * step)
                if neighbor in lattice:
                    blurred[corner] += 0.5 * lattice[neighbor]
        lattice = blurred
    out = [sum(weight * lattice[corner] for corner, weight in simplex) for simplex in simplices]
    return np.array(out) / (1 + 2.0**-dims)


@pytest.mark.parametrize(('dims', 'spread'), [(1, 3), (2, 2), (3, 1.5), (5, 0.4), (5, 5)])
def test_against_dictionary(dims, spread):
    rng = np.random.default_rng(dims)
    features, values = rng.normal(0, spread, (2, 60, dims)), rng.random((2, 60, 3))
    lattice = PermutohedralLattice(torch.tensor(features).transpose(1, 2))
    out = lattice.filter(torch.tensor(values).transpose(1, 2)).transpose(1, 2)
    for image in range(2):
        np.testing.assert_allclose(out[image], naive_filter(features[image], values[image]), atol=1e-12)


def test_two_equal_points():
    """One simplex: its corner gets back 2^-(D + 1) of itself, once around through all directions."""
    out = PermutohedralLattice(torch.zeros(1, 5, 2)).filter(torch.tensor([[[1., 2.]]]))
    torch.testing.assert_close(out, torch.full((1, 1, 2), 3 * (1 + 2**-6) / (1 + 2**-5)))


def image_features(batch=2, size=24):
    torch.manual_seed(0)
    images = torch.nn.functional.interpolate(torch.rand(batch, 3, 4, 4), (size, size), mode='bicubic') * 255 / 15
    grid = torch.stack(torch.meshgrid(torch.arange(size), torch.arange(size), indexing='xy')) / 8
    return torch.cat([grid.expand(batch, -1, -1, -1), images], 1).flatten(2)


def test_proportional_to_the_gaussian_sum():
    features = image_features()
    values = torch.rand(2, 4, features.shape[2])
    exact = values @ torch.cdist(features.transpose(1, 2), features.transpose(1, 2)).square().mul(-0.5).exp()
    out = PermutohedralLattice(features).filter(values)
    ratio = (out / exact).mean().item()
    assert 0.4 < ratio < 0.7
    assert np.corrcoef(out.flatten(), exact.flatten())[0, 1] > 0.97


def test_reverse_is_the_transpose():
    features = image_features(batch=1, size=12)
    identity = torch.eye(144)[None]
    lattice = PermutohedralLattice(features)
    forward, backward = lattice.filter(identity)[0], lattice.filter(identity, reverse=True)[0]
    torch.testing.assert_close(forward, backward.T)
    asymmetry = (forward - forward.T).norm() / forward.norm()
    assert 0 < asymmetry < 0.2, 'the documented asymmetry is there, and small'


def test_linear_and_independent_of_the_batch():
    features = image_features(batch=3)
    values = torch.rand(3, 2, features.shape[2])
    out = PermutohedralLattice(features).filter(values)
    torch.testing.assert_close(out, PermutohedralLattice(features).filter(2 * values) / 2)
    for index in range(3):
        alone = PermutohedralLattice(features[index:index + 1]).filter(values[index:index + 1])
        torch.testing.assert_close(out[index:index + 1], alone, atol=1e-5, rtol=1e-5)
    same = PermutohedralLattice(features[:1].expand(2, -1, -1)).filter(values[:1].expand(2, -1, -1))
    torch.testing.assert_close(same[0], same[1])
    torch.testing.assert_close(same[0], out[0], atol=1e-5, rtol=1e-5)


def test_bad_input():
    with pytest.raises(ValueError, match=r'\(5, 9\)'):
        PermutohedralLattice(torch.zeros(5, 9))
    with pytest.raises(ValueError, match='finite'):
        PermutohedralLattice(torch.full((1, 2, 3), float('nan')))
    with pytest.raises(ValueError, match='standard deviations'):
        PermutohedralLattice(torch.rand(1, 5, 9) * 1e6)
    with pytest.raises(ValueError, match=r'\(1, K, 9\)'):
        PermutohedralLattice(torch.zeros(1, 5, 9)).filter(torch.zeros(1, 2, 8))
