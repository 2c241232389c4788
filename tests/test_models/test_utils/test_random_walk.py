"""The walk of CAMs: worked examples, and both ways to compute it."""

import pytest
import torch

from mmwsss.models.utils import dense_affinity, pair_affinity, random_walk, sparse_affinity

THREE_NODES = torch.tensor([[1, .9, .2], [.9, 1, .6], [.2, .6, 1]], dtype=torch.double)
VECTORS = torch.tensor([[.39, .39, .39], [.9, .2, .1], [0, .1, .8]], dtype=torch.double)[:, None]
METHODS = [None, 'squaring', 'products']


def plain_walk(cams, affinity, beta, log2_steps):
    """The formula, literally."""
    weights = affinity**beta
    transition = torch.linalg.matrix_power(weights / weights.sum(dim=0, keepdim=True), 2**log2_steps)
    return (cams.flatten(1) @ transition).view_as(cams)


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('sparse', [False, True])
@pytest.mark.parametrize(('log2_steps', 'expected', 'labels'), [
    (1, [[.39, .39, .39], [.604395, .487468, .106700], [.044626, .072259, .776704]], [1, 1, 2]),
    (6, [[.39, .39, .39], [.460842, .458647, .349678], [.197414, .200989, .378527]], [1, 1, 0])])
def test_three_nodes(log2_steps, expected, labels, sparse, method):
    affinity = THREE_NODES.to_sparse() if sparse else THREE_NODES
    walked = random_walk(VECTORS, affinity, beta=8, log2_steps=log2_steps, method=method)
    expected = torch.tensor(expected, dtype=torch.double)[:, None]
    torch.testing.assert_close(walked, expected, rtol=0, atol=2e-6)
    assert walked.argmax(dim=0)[0].tolist() == labels


def test_the_settings_of_transcam():
    affinity = torch.tensor([[1, .9, .5], [.9, 1, .7], [.5, .7, 1]], dtype=torch.double)
    transition = random_walk(torch.eye(3, dtype=torch.double)[:, None], affinity, beta=14, log2_steps=7)[:, 0]
    expected = [[.398824, .396577, .247062], [.398746, .396599, .253806], [.202431, .206825, .499134]]
    torch.testing.assert_close(transition, torch.tensor(expected, dtype=torch.double), rtol=0, atol=2e-6)
    maps = torch.tensor([[.42, .42, .42], [.9, .1, .2]], dtype=torch.double)[:, None]
    expected = [[.420001, .420001, .420001], [.439303, .437944, .347564]]
    walked = random_walk(maps, affinity, beta=14, log2_steps=7)[:, 0]
    torch.testing.assert_close(walked, torch.tensor(expected, dtype=torch.double), rtol=0, atol=2e-6)


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('sparse', [False, True])
def test_border_of_a_map(sparse, method):
    rows, cols = torch.meshgrid(torch.arange(6.), torch.arange(10.), indexing='ij')
    pairs = pair_affinity(torch.stack([0.1 * rows, 0.05 * cols, (cols >= 5).float()])[None])
    affinity = sparse_affinity(pairs[0], (6, 10)) if sparse else dense_affinity(pairs, (6, 10))[0]
    cams = torch.stack([torch.full((6, 10), .39), .8 * (cols < 3), .7 * (cols > 7)])
    walked = random_walk(cams, affinity, beta=8, log2_steps=6, method=method)
    assert [''.join(map(str, row)) for row in walked.argmax(dim=0).tolist()] == [
        '1110000000', '0000000000', '0000000000', '0000000000', '1000000002', '1100000022']
    assert walked.sum(dim=(1, 2)).tolist() == pytest.approx([23.4, 10.978945, 6.431244], abs=1e-4)


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('layout', ['dense', 'coo', 'csr'])
def test_all_ways_equal_the_formula(layout, method):
    torch.manual_seed(0)
    size = (9, 12)
    pairs = pair_affinity(torch.randn(1, 4, *size).double() / 4)
    dense, = dense_affinity(pairs, size)
    cams = torch.rand(3, *size).double()
    sparse = sparse_affinity(pairs[0], size)
    affinity = {'dense': dense, 'coo': sparse, 'csr': sparse.to_sparse_csr()}[layout]
    walked = random_walk(cams, affinity, beta=4.5, log2_steps=5, method=method)
    torch.testing.assert_close(walked, plain_walk(cams, dense, 4.5, 5))
    assert (walked - cams).abs().max() > 0.1


def test_a_matrix_that_is_not_symmetric_walks_along_its_rows():
    torch.manual_seed(0)
    affinity = torch.rand(6, 6).double() * (torch.rand(6, 6) < .4) + torch.eye(6)
    cams = torch.rand(2, 2, 3).double()
    for given in (affinity, affinity.to_sparse()):
        for method in METHODS:
            walked = random_walk(cams, given, 2, 3, method)
            torch.testing.assert_close(walked, plain_walk(cams, affinity, 2, 3))


def test_scores_are_moved_and_not_made():
    torch.manual_seed(0)
    size = (6, 12)
    affinity = dense_affinity(pair_affinity(torch.randn(1, 4, *size)), size)[0]
    cams = torch.rand(2, *size)
    torch.testing.assert_close(random_walk(cams, torch.eye(72), 8, 6), cams)
    walked = random_walk(cams, affinity, 8, 6)
    assert walked.min() >= cams.min()
    assert walked.max() <= cams.max()


def test_wrong_arguments_are_named():
    cams, affinity = torch.ones(2, 1, 3), torch.eye(3)
    with pytest.raises(ValueError, match=r'got \(2, 1, 3\) and \(2, 2\)'):
        random_walk(cams, torch.eye(2))
    for log2_steps in (-1, 17, 40):
        with pytest.raises(ValueError, match=f'log2_steps must be 0 to 16 .*, got {log2_steps}'):
            random_walk(cams, affinity, log2_steps=log2_steps)
    for method in ('squaring', 'products'):
        with pytest.raises(ValueError, match='the random walk gives NaN'):
            random_walk(cams / torch.tensor([1, 1, 0.]), affinity, method=method)
    with pytest.raises(ValueError, match="'squaring', 'products' or None, got 'power'"):
        random_walk(cams, affinity, method='power')
    affinity[1, 1] = 0
    for given in (affinity, affinity.to_sparse()):
        with pytest.raises(ValueError, match='1 columns of the affinity have no entry'):
            random_walk(cams, given)
