"""Arithmetic of attention matrices: the worked examples of a diagonal, a mixed and a strip matrix."""

import pytest
import torch

from mmwsss.analysis.analyses import (
    diagonal_share,
    effective_keys,
    foreground_mass,
    hellinger_distances,
    token_foreground,
)

DIAGONAL = torch.full((4, 4), .08, dtype=torch.float64).fill_diagonal_(.7)
MIXED = torch.tensor([[.4, .2, .2, .1], [.2, .4, .1, .2], [.2, .1, .4, .2], [.1, .2, .2, .4]], dtype=torch.float64)
STRIP = torch.tensor([[.1, .1, .1, .6]], dtype=torch.float64).expand(4, 4)
OFF_DIAGONAL = ~torch.eye(4, dtype=torch.bool)


@pytest.mark.parametrize(('matrix', 'share', 'keys'), [
    (DIAGONAL, .744681, 4), (MIXED, .444444, 4), (STRIP, .25, 2.725681)])
def test_diagonal_share_and_effective_keys(matrix, share, keys):
    assert diagonal_share(matrix).item() == pytest.approx(share, abs=1e-6)
    assert effective_keys(matrix).item() == pytest.approx(keys, abs=1e-6)


@pytest.mark.parametrize(('matrix', 'normalized', 'as_is'), [
    (DIAGONAL, .571219, .553817), (MIXED, .270542, .256658), (STRIP, 0, 0)])
def test_hellinger_distances(matrix, normalized, as_is):
    assert hellinger_distances(matrix)[OFF_DIAGONAL].mean().item() == pytest.approx(normalized, abs=1e-6)
    assert hellinger_distances(matrix, normalize=False)[OFF_DIAGONAL].mean().item() == pytest.approx(as_is, abs=1e-6)


def test_a_single_pair():
    assert hellinger_distances(MIXED)[0, 1].item() == pytest.approx(.239146, abs=1e-6)


def test_foreground_mass():
    mass, area = foreground_mass(STRIP.mean(dim=0), torch.tensor([1., 1, 0, 0]))
    assert (mass, area, mass / area) == pytest.approx((.222222, .5, .444444), abs=1e-6)


def test_unknown_tokens_are_left_out():
    mass, area = foreground_mass(torch.tensor([1., 3, 9]), torch.tensor([1., 0, torch.nan]))
    assert (mass, area) == pytest.approx((.25, .5))


def test_foreground_of_tokens():
    mask = torch.tensor([[1, 2, 0, 0], [0, 0, 0, 255], [255, 255, 0, 0], [255, 255, 0, 0]])
    found = token_foreground(mask, (8, 8), (2, 2), (4, 4))
    torch.testing.assert_close(found, torch.tensor([[.5, 0], [torch.nan, 0]]), equal_nan=True)


def test_foreground_of_tokens_below_a_remainder_and_beyond_the_image():
    mask = torch.ones(9, 5, dtype=torch.long)
    found = token_foreground(mask, (9, 5), (2, 2), (4, 4))  # one row is dropped, three columns are padding
    torch.testing.assert_close(found, torch.ones(2, 2))
