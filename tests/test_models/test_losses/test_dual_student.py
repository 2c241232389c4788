import math

import pytest
import torch

from mmwsss.models import ConfidentConsistencyLoss, FeatureDiscrepancyLoss


def test_discrepancy_of_channels_by_hand():
    """The maps of the first channel are equal, those of the second orthogonal."""
    first = torch.tensor([[1., 2], [1, 0]]).reshape(1, 2, 1, 2)
    second = torch.tensor([[3., 6], [0, 5]]).reshape(1, 2, 1, 2)
    loss = FeatureDiscrepancyLoss()
    assert loss(first, second).item() == pytest.approx(2 + 2 * (1 + 0) / 2)
    assert loss(first, first).item() == pytest.approx(4)
    assert loss(first, -first).item() == pytest.approx(0, abs=1e-6)


def test_discrepancy_moves_both_apart():
    torch.manual_seed(0)
    pair = [torch.randn(2, 3, 4, 4, requires_grad=True) for _ in range(2)]
    before = FeatureDiscrepancyLoss()(*pair)
    before.backward()
    moved = [(features - features.grad).detach() for features in pair]
    assert FeatureDiscrepancyLoss()(*moved) < before
    assert FeatureDiscrepancyLoss()(*(features.bfloat16() for features in moved)).dtype == torch.float32


def logits_of(*probs):
    """Return the logits (1, 2, 1, N) of the probability of class 1 at each pixel."""
    probs = torch.tensor(probs)
    return torch.stack([1 - probs, probs]).log().reshape(1, 2, 1, -1)


def test_consistency_by_hand():
    sure, view = logits_of(.95, .95, .8, .04), logits_of(.5, .5, .5, .25).requires_grad_()
    labels = torch.tensor([255, 1, 255, 255]).reshape(1, 1, 4)
    loss = ConfidentConsistencyLoss(confidence=.9)(view, sure, labels)
    # The first pixel should be class 1 and the last class 0. The second has a label, the third is not sure enough.
    assert loss.item() == pytest.approx((math.log(2) - math.log(.75)) / 2, rel=1e-5)
    loss.backward()
    assert view.grad.abs().sum(dim=1).flatten().gt(0).tolist() == [True, False, False, True]


def test_consistency_without_pixels_is_zero_and_connected():
    view = logits_of(.5, .5).requires_grad_()
    loss = ConfidentConsistencyLoss()(view, logits_of(.95, .95), torch.zeros(1, 1, 2, dtype=torch.long))
    loss.backward()
    assert loss == 0
    assert not view.grad.any()


def test_consistency_counts_groups():
    views, sure = (torch.cat([logits_of(.5, .3), logits_of(.2, .5)]), torch.cat([logits_of(.95, .95),
                                                                                 logits_of(.95, .5)]))
    labels = torch.full((2, 1, 2), 255)
    parts = [ConfidentConsistencyLoss()(views[i:i + 1], sure[i:i + 1], labels[i:i + 1]) for i in range(2)]
    grouped = ConfidentConsistencyLoss(group_size=1)(views, sure, labels)
    torch.testing.assert_close(grouped, (parts[0] + parts[1]) / 2)
    pooled = ConfidentConsistencyLoss()(views, sure, labels)
    torch.testing.assert_close(pooled, (2 * parts[0] + parts[1]) / 3)


def test_wrong_settings():
    with pytest.raises(ValueError, match=r'confidence must be in \[0, 1\), got 1'):
        ConfidentConsistencyLoss(confidence=1)
    with pytest.raises(ValueError, match='group_size and across_processes exclude each other'):
        ConfidentConsistencyLoss(group_size=2, across_processes=True)
