"""AReAM's worked examples of affinity labels and loss, and the loss against plain loops."""

import pytest
import torch

from mmwsss.models import AffinityLoss
from mmwsss.models.backbones.attention import ScoreFactors
from mmwsss.models.utils import token_affinity_labels

SCORES = torch.tensor([[2, .5, -1, .3], [1, 1.5, 0, -.2], [-.5, .4, 1.2, .8], [.1, -.3, .6, .9]])
TOKENS = torch.tensor([[[1, 1], [0, 255]]])
LABELS = token_affinity_labels(TOKENS, include_diagonal=True)
THREE = torch.stack([SCORES, SCORES / 2, SCORES * 0])[None]
COUNTERPARTS = torch.tensor([[0, .833056, 1]])


def close(found, expected, atol=1e-6):
    torch.testing.assert_close(found, torch.as_tensor(expected), atol=atol, rtol=0)


def test_labels_of_the_worked_example():
    assert LABELS[0].tolist() == [[1, 1, 0, 255], [1, 1, 0, 255], [0, 0, 1, 255], [255] * 4]
    assert ((LABELS == 1).sum(), (LABELS == 0).sum()) == (5, 4)


@pytest.mark.parametrize(('pair_weight', 'expected'), [(1., .545632), (.5, .272816)])
@pytest.mark.parametrize('scope', ['image', 'batch'])
def test_one_layer_of_the_worked_example(pair_weight, expected, scope):
    loss = AffinityLoss(pair_weight=pair_weight, scope=scope)
    close(loss(SCORES[None, None], LABELS, torch.ones(1, 1)), expected)


def test_gradient_of_the_worked_example():
    scores = SCORES.clone().requires_grad_()
    AffinityLoss()(scores[None, None], LABELS, torch.ones(1, 1)).backward()
    close(scores.grad, [[-.017499, -.039167, .039322, 0], [-.032769, -.024858, .05, 0],
                        [.047001, .048052, -.029649, 0], [0, 0, 0, 0]])


def test_three_layers_of_the_worked_example():
    one_by_one = [AffinityLoss()(THREE[:, i:i + 1], LABELS, torch.ones(1, 1)) for i in range(3)]
    close(torch.stack(one_by_one), [.545632, .666285, .816667])
    total = AffinityLoss()(THREE, LABELS, COUNTERPARTS)
    close(total, 1.371719)
    close(.2 * total, .274344)
    close(AffinityLoss(pair_weight=.5, layer_reduction='mean')(THREE, LABELS, COUNTERPARTS), .228620)
    first_version = AffinityLoss(pair_weight=.5, layer_reduction='mean', scope='batch')
    close(.1 * first_version(THREE[:, 1:], LABELS, COUNTERPARTS[:, 1:]), .034293)


def random_case(seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 3, 6, 6, generator=generator, requires_grad=True)
    labels = token_affinity_labels(torch.tensor([[[0, 1, 1], [255, 2, 0]], [[1, 1, 1], [255, 255, 0]]]), True)
    return logits, labels, torch.rand(2, 3, generator=generator)


def naive(logits, labels, weights, scope):
    """The definition, pair by pair."""
    groups = [[0], [1]] if scope == 'image' else [[0, 1]]
    total = 0.
    for group in groups:
        for layer in range(3):
            same = [1 - logits[b, layer, i, j].sigmoid() for b in group for i, j in (labels[b] == 1).nonzero().tolist()]
            other = [logits[b, layer, i, j].sigmoid() for b in group for i, j in (labels[b] == 0).nonzero().tolist()]
            cost = sum(same) / (len(same) + 1) + sum(other) / (len(other) + 1)
            total = total + weights[group, layer].mean() * cost / len(groups)
    return total


@pytest.mark.parametrize('scope', ['image', 'batch'])
def test_against_the_definition(scope):
    logits, labels, weights = random_case()
    expected = naive(logits, labels, weights, scope)
    found = AffinityLoss(scope=scope)(logits, labels, weights)
    close(found.detach(), expected.detach())
    gradients = [torch.autograd.grad(value, logits)[0] for value in (found, expected)]
    close(*gradients)


@pytest.mark.parametrize('kwargs', [{}, dict(layer_reduction='mean', scope='batch', pair_weight=.5)])
def test_layer_after_layer_from_factors(kwargs):
    """Value and gradients are those of the scores; these are gone until the backward pass."""
    _, labels, weights = random_case()
    queries, keys = (torch.randn(3, 2, 6, 5, generator=torch.Generator().manual_seed(i), requires_grad=True)
                     for i in (1, 2))
    factors = [ScoreFactors(query, key, .7) for query, key in zip(queries, keys)]
    loss = AffinityLoss(**kwargs)
    expected = loss(torch.stack([layer.product() for layer in factors], dim=1), labels, weights)
    expected = expected.detach(), torch.autograd.grad(expected, (queries, keys))
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda saved: kept.append(saved) or saved, lambda saved: saved):
        found = loss.of_factors(factors, labels, weights)
    assert len({saved.data_ptr() for saved in kept if saved.shape == (2, 6, 6)}) == 1, 'the weights of pairs alone'
    close(found.detach(), expected[0])
    for gradient, other in zip(torch.autograd.grad(found, (queries, keys)), expected[1]):
        close(gradient, other)


def test_only_constants_beside_the_scores():
    logits, labels, weights = random_case()
    weights.requires_grad_()
    AffinityLoss()(logits, labels, weights).backward()
    assert weights.grad is None


@pytest.mark.parametrize('scope', ['image', 'batch'])
def test_everything_ignored(scope):
    logits, labels, weights = random_case()
    loss = AffinityLoss(scope=scope)(logits, torch.full_like(labels, 255), weights)
    loss.backward()
    assert loss == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_weights_of_zero_give_exactly_nothing():
    logits, labels, weights = random_case()
    loss = AffinityLoss()(logits, labels, weights * 0)
    loss.backward()
    assert loss == 0
    assert not logits.grad.any()


def test_float32_under_autocast():
    logits, labels, weights = random_case()
    expected = AffinityLoss()(logits, labels, weights)
    with torch.autocast('cpu', torch.bfloat16):
        found = AffinityLoss()(logits, labels, weights)
    assert torch.equal(found, expected)
    half = AffinityLoss()(logits.bfloat16(), labels, weights)
    assert half.dtype == torch.float32


def test_unknown_choices():
    with pytest.raises(ValueError, match="layer_reduction must be .*'max'"):
        AffinityLoss(layer_reduction='max')
    with pytest.raises(ValueError, match="scope must be .*'world'"):
        AffinityLoss(scope='world')
