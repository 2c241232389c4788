"""Pairs of cells against plain gathers, and the published geometry."""

import pytest
import torch

from mmwsss.models.utils import (
    dense_affinity,
    pair_affinity,
    pair_indices,
    pair_labels,
    pair_offsets,
    sparse_affinity,
)

LABELS = torch.tensor([[0, 0, 1, 1, 255], [0, 0, 1, 1, 255], [0, 2, 2, 1, 1], [0, 2, 2, 255, 0], [0, 0, 0, 0, 0]])
FROM = [1, 2, 3, 6, 7, 8, 11, 12, 13, 16, 17, 18]
TO = [[2, 3, 4, 7, 8, 9, 12, 13, 14, 17, 18, 19], [5, 6, 7, 10, 11, 12, 15, 16, 17, 20, 21, 22],
      [6, 7, 8, 11, 12, 13, 16, 17, 18, 21, 22, 23], [7, 8, 9, 12, 13, 14, 17, 18, 19, 22, 23, 24]]


def small_features():
    """The two channels of the worked example, (1, 2, 5, 5)."""
    return torch.stack([0.5 * (torch.arange(25.) % 4), (LABELS.flatten() == 1).float()]).view(1, 2, 5, 5)


def gathered(features, radius):
    """The plain arrangement: both cells of all pairs, indexed out of the map."""
    own, partners = pair_indices(features.shape[-2:], radius)
    flat = features.flatten(2)
    difference = flat[:, :, partners.flatten()].unflatten(2, partners.shape) - flat[:, :, None, own]
    return torch.exp(-difference.abs().mean(dim=1))


def test_offsets_and_cells_of_the_published_radius():
    offsets = pair_offsets(5)
    assert len(offsets) == 34
    assert offsets[:4] == [(0, 1), (0, 2), (0, 3), (0, 4)]
    reach = {1: range(-4, 5), 2: range(-4, 5), 3: range(-3, 4), 4: range(-2, 3)}
    assert offsets[4:] == [(dy, dx) for dy, columns in reach.items() for dx in columns]
    own, partners = pair_indices((56, 56), 5)
    assert own.shape == (2496, )
    assert partners.numel() == 84864
    assert (own[0], own[-1]) == (4, 51 * 56 + 51)


def test_pairs_of_the_worked_example():
    own, partners = pair_indices((5, 5), 2)
    assert own.tolist() == FROM
    assert partners.tolist() == TO
    found = pair_labels(LABELS[None], radius=2)
    expected = (
        ['000000000000', '100100000000', '100000000000', '000000000000'],
        ['010010101100', '001000010000', '011001110000', '010011100000'],
        ['100100010000', '010011101110', '000110000110', '100100001110'])
    for mask, rows in zip(found, expected):
        assert [''.join(str(int(bit)) for bit in row) for row in mask[0]] == rows
    assert [int(mask.sum()) for mask in found] == [3, 16, 19]


def test_affinity_of_the_worked_example():
    affinity = pair_affinity(small_features(), radius=2)
    torch.testing.assert_close(affinity[0, 0], torch.tensor(
        [.472367, .778801, .286505, .472367, .472367, .472367, .472367, .472367, .778801, .778801, .778801, .778801]))


@pytest.mark.parametrize(('size', 'radius'), [((5, 9), 5), ((6, 10), 5), ((7, 13), 3)])
def test_affinity_and_gradient_are_those_of_gathered_pairs(size, radius):
    torch.manual_seed(0)
    # Few values, so that many differences are 0, where the derivative of the distance is taken to be 0.
    values = torch.randint(3, (2, 6, *size)).double() / 2
    weights = torch.randn(2, len(pair_offsets(radius)), (size[0] - radius + 1) * (size[1] - 2 * radius + 2)).double()
    found = []
    for function in (pair_affinity, gathered):
        features = values.clone().requires_grad_()
        affinity = function(features, radius)
        (affinity * weights).sum().backward()
        found.append((affinity.detach(), features.grad))
    torch.testing.assert_close(found[0], found[1])
    assert found[0][1].abs().max() > 0


def test_gradient_against_differences():
    torch.manual_seed(0)
    features = torch.randn(2, 3, 4, 6, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda values: pair_affinity(values, 3), features)


def test_half_precision_is_computed_in_single():
    features = torch.randn(1, 8, 5, 9, requires_grad=True, dtype=torch.bfloat16)
    affinity = pair_affinity(features)
    assert affinity.dtype == torch.float32
    torch.testing.assert_close(affinity, gathered(features.float(), 5))
    affinity.sum().backward()
    assert features.grad.dtype == torch.bfloat16


def border_features():
    """Three channels on 6 x 10 cells: rows, columns, and a step in the middle."""
    rows, cols = torch.meshgrid(torch.arange(6.), torch.arange(10.), indexing='ij')
    return torch.stack([0.1 * rows, 0.05 * cols, (cols >= 5).float()])[None]


def test_matrix_of_the_worked_example():
    pairs = pair_affinity(border_features())
    assert pairs.shape == (1, 34, 4)
    matrix, = dense_affinity(pairs, (6, 10))
    assert torch.equal(matrix, matrix.T)
    assert int((matrix > 0).sum()) == 332
    assert float(matrix.sum()) == pytest.approx(275.57806, abs=1e-4)
    assert [float(matrix[i, j]) for i, j in ((4, 5), (4, 14), (0, 1), (0, 4), (3, 4), (14, 50))] == pytest.approx(
        [.704688, .967216, 0, 0, 0, 0], abs=1e-6)
    alone = ((matrix > 0).sum(dim=1) == 1).nonzero().flatten().tolist()
    assert alone == [0, 1, 2, 3, 40, 49, 50, 51, 58, 59]
    assert torch.equal(matrix.diagonal(), torch.ones(60))


@pytest.mark.parametrize('size', [(5, 9), (6, 10), (9, 12)])
def test_sparse_matrix_is_the_dense_one(size):
    torch.manual_seed(0)
    pairs = pair_affinity(torch.randn(2, 4, *size))
    dense = dense_affinity(pairs, size)
    for matrix, values in zip(dense, pairs):
        found = sparse_affinity(values, size)
        assert found.is_sparse
        assert found._nnz() == 2 * values.numel() + size[0] * size[1]
        assert torch.equal(found.to_dense(), matrix)


@pytest.mark.parametrize('size', [(4, 20), (20, 8)])
def test_maps_without_pairs_are_refused(size):
    with pytest.raises(ValueError, match=rf'{size[0]} x {size[1]} cells.*needs 5 x 9 cells'):
        pair_affinity(torch.zeros(1, 2, *size))
    with pytest.raises(ValueError, match='needs 5 x 9 cells'):
        pair_labels(torch.zeros(1, *size))


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match='radius must be 2 or more, got 1'):
        pair_offsets(1)
    with pytest.raises(ValueError, match=r'\(34, 1\) pairs of radius 5, got \(34, 2\)'):
        dense_affinity(torch.ones(1, 34, 2), (5, 9))
