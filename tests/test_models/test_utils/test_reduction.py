"""Groups of the images of a batch: what belongs together, sums, and values for each image."""

import itertools

import pytest
import torch

from mmwsss.datasets import IterationSampler
from mmwsss.models.utils import number_of_groups, spread_groups, sum_groups


def positions_of_groups(num_processes: int, batch_size: int, group_size: int) -> set[tuple]:
    """Return the positions in the stream of samples that form a group in the first batches."""
    groups = set()
    for rank in range(num_processes):
        sampler = IterationSampler(range(100), shuffle=False, seed=0)
        sampler.rank, sampler.world_size = rank, num_processes
        batch = [index.draw for index in itertools.islice(sampler, batch_size)]
        count = number_of_groups(batch_size, group_size)
        groups |= {tuple(batch[group::count]) for group in range(count)}
    return groups


@pytest.mark.parametrize('processes', [1, 2, 4])
def test_groups_have_the_same_images_however_a_batch_is_divided(processes):
    found = positions_of_groups(processes, 8 // processes, group_size=2)
    assert found == positions_of_groups(4, 2, group_size=2) == {(0, 4), (1, 5), (2, 6), (3, 7)}


@pytest.mark.parametrize(('batch_size', 'group_size', 'groups'), [
    (4, 2, [(0, 2), (1, 3)]), (4, 1, [(0, ), (1, ), (2, ), (3, )]), (5, 2, [(0, 3), (1, 4), (2, )]), (1, 2, [(0, )]),
    (3, None, [(0, 1, 2)])])
def test_sums_and_values_of_groups(batch_size, group_size, groups):
    values = torch.randn(batch_size, 2, 3)
    sums = sum_groups(values, group_size)
    expected = torch.stack([values[list(group)].sum(0) for group in groups])
    torch.testing.assert_close(sums, expected)
    assert len(sums) == number_of_groups(batch_size, group_size)
    for index, value in enumerate(spread_groups(sums, batch_size)):
        own = next(number for number, group in enumerate(groups) if index in group)
        torch.testing.assert_close(value, expected[own])
