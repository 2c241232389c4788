"""The loss of AffinityNet: the worked example, and batches in which something is missing."""

import math

import pytest
import torch

from mmwsss.models import PairAffinityLoss
from mmwsss.models.utils import pair_affinity, pair_labels
from mmwsss.registry import MODELS

LABELS = torch.tensor([[0, 0, 1, 1, 255], [0, 0, 1, 1, 255], [0, 2, 2, 1, 1], [0, 2, 2, 255, 0], [0, 0, 0, 0, 0]])


def example(dtype=torch.float32):
    features = torch.stack([0.5 * (torch.arange(25.) % 4), (LABELS.flatten() == 1).float()]).view(1, 2, 5, 5)
    return features.to(dtype)


@pytest.mark.parametrize(('dtype', 'negative', 'total', 'tolerance'), [
    (torch.float32, 2.566452, 1.405615, 3e-4), (torch.float64, 2.566667, 1.405722, 2e-6)])
def test_worked_example(dtype, negative, total, tolerance):
    loss = MODELS.build(dict(type='PairAffinityLoss'))
    affinities, labels = pair_affinity(example(dtype), radius=2), pair_labels(LABELS[None], radius=2)
    terms = loss.terms(affinities, labels)
    assert float(terms['background']) == pytest.approx(.083322 / 4, abs=1e-6)
    assert float(terms['foreground']) == pytest.approx(.406234 / 4, abs=1e-6)
    assert float(terms['negative']) == pytest.approx(negative / 2, abs=tolerance)
    assert float(loss(affinities, labels)) == pytest.approx(total, abs=tolerance)


def test_pairs_of_the_batch_are_pooled():
    """A second image with few known pairs weighs as much as its pairs do."""
    torch.manual_seed(0)
    affinities = pair_affinity(torch.randn(2, 3, 5, 5).double(), radius=2)
    second = torch.full((5, 5), 255)
    second[0, 1:3] = 1
    labels = pair_labels(torch.stack([LABELS, second]), radius=2)
    loss = PairAffinityLoss(background_weight=0, foreground_weight=1, negative_weight=0)
    chosen = affinities[labels.foreground]
    assert len(chosen) == 17
    expected = -sum(math.log(a + 1e-5) for a in chosen.tolist()) / (17 + 1e-5)
    assert float(loss(affinities, labels)) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize('value', [0, 255, 3])
def test_kinds_without_pairs_count_as_nothing_and_stay_connected(value):
    features = example().requires_grad_()
    loss = PairAffinityLoss()
    terms = loss.terms(pair_affinity(features, 2), pair_labels(torch.full((1, 5, 5), value), 2))
    present = {0: 'background', 3: 'foreground'}.get(value)
    assert {name for name, term in terms.items() if term > 0} == ({present} if present else set())
    sum(terms.values()).backward()
    assert features.grad.isfinite().all()
    assert bool(features.grad.any()) == (present is not None)


def test_equal_labels_attract_and_different_ones_repel():
    torch.manual_seed(0)
    features = torch.randn(1, 4, 5, 9, requires_grad=True)
    labels = torch.zeros(1, 5, 9).long()
    labels[:, :, 5:] = 1
    before = pair_affinity(features).detach()
    PairAffinityLoss()(pair_affinity(features), pair_labels(labels)).backward()
    after = pair_affinity(features.detach() - features.grad)
    found = pair_labels(labels)
    for kind, sign in zip(found, (1, 1, -1)):
        if kind.any():
            assert sign * float((after - before)[kind].mean()) > 0


def test_half_precision_is_compared_in_single():
    affinities = torch.full((1, 4, 12), 0.5, dtype=torch.bfloat16)
    loss = PairAffinityLoss()(affinities, pair_labels(LABELS[None], 2))
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(math.log(2), abs=1e-4)
