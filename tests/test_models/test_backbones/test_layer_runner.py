"""Watching changes nothing: what observations are shown, in every way in which layers are run."""

import pytest
import torch
from torch.testing import assert_close

from mmwsss.models import extract_features

from ...helpers import KeptAttention
from .observed import (
    HEADS,
    KINDS,
    READERS,
    NotedBlocks,
    NotedHeads,
    NotedMeans,
    NotedQueryKeys,
    NotedScores,
    build,
    explicit_attention,
    flat,
    layers_of,
    run,
)


@pytest.fixture
def images():
    return torch.randn(2, 3, 32, 40, generator=torch.Generator().manual_seed(1), dtype=torch.double)


# What is shown


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('recorded', [False, True])
def test_heads_and_their_mean_are_the_explicit_softmax(kind, recorded, images):
    backbone = build(kind)
    with torch.set_grad_enabled(recorded):
        features = run(backbone, images, KeptAttention(), NotedMeans())
        expected = explicit_attention(backbone, images)
    assert list(features[KeptAttention()]) == list(range(backbone.num_layers))
    for layer, maps in enumerate(expected):
        assert_close(features[KeptAttention()][layer], maps)
        assert_close(features[NotedMeans()][layer], (layer, maps.mean(dim=1)))
        assert maps.std() > 1e-4


@torch.no_grad()
def test_heads_come_one_by_one_without_gradient_and_say_which_they_are(images):
    shown = run(build(), images, NotedHeads(layers=(1, 2)))[NotedHeads(layers=(1, 2))]
    assert [(layer, value.first, value.maps.shape[1]) for layer, value in shown] == [
        (layer, head, 1) for layer in (1, 2) for head in range(HEADS)]


@pytest.mark.parametrize('kind', KINDS)
def test_scores_and_queries_and_keys_are_those_of_the_attention(kind, images):
    backbone = build(kind)
    features = run(backbone, images, NotedScores(), NotedQueryKeys())
    for layer, maps in enumerate(explicit_attention(backbone, images)):
        (found, factors), (_, pair) = features[NotedScores()][layer], features[NotedQueryKeys()][layer]
        assert found == layer
        products = pair.query @ pair.key.mT
        assert_close(products.softmax(dim=-1), maps)
        assert_close(factors.product(), products.mean(dim=1))
        assert_close(factors.from_token(2).product(), products.mean(dim=1)[:, 2:, 2:])


@pytest.mark.parametrize('kind', KINDS)
def test_blocks_are_what_layers_and_their_attention_give(kind, images):
    backbone, expected = build(kind), []
    plain = build(kind)
    for layer in layers_of(plain):
        layer.attn.proj.register_forward_hook(lambda module, args, out: expected.append([out]))
        layer.register_forward_hook(lambda module, args, out: expected[-1].append(out))
    extract_features(plain, images)
    shown = run(backbone, images, NotedBlocks())[NotedBlocks()]
    assert len(shown) == len(expected) == backbone.num_layers
    for (_, value), (attention, tokens) in zip(shown, expected):
        assert_close(value.attention, attention)
        assert_close(value.tokens, tokens)


@pytest.mark.parametrize('reader', READERS)
def test_values_carry_a_gradient_only_if_asked(reader, images):
    for grad in (True, False):
        found = run(build(), images, reader(grad=grad))[reader(grad=grad)]
        assert {tensor.requires_grad for tensor in flat(found)} == {grad}
        with torch.no_grad():
            found = run(build(), images, reader(grad=grad))[reader(grad=grad)]
        assert not any(tensor.requires_grad for tensor in flat(found))


# Watching changes nothing


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('reader', READERS)
def test_all_ways_of_execution_give_the_same_network(kind, reader, images):
    """Nobody looks; heads one by one without gradient; beside fused attention; with gradient through the maps."""
    backbone = build(kind)
    plain = outputs_and_gradients(backbone, images)
    with torch.no_grad():
        features = run(backbone, images, reader())
    assert_close((features.maps[-1], features.class_tokens), plain[0])
    for grad in (False, True):
        assert_close(outputs_and_gradients(backbone, images, reader(grad=grad)), plain)


@pytest.mark.parametrize('kind', KINDS)
def test_lower_precision_without_gradient_goes_head_by_head(kind, images):
    """Autocast leaves float64 alone, so that the results are those of fused attention."""
    backbone, whole = build(kind), []
    expected = run(backbone, images)
    for layer in layers_of(backbone):
        layer.attn.register_forward_hook(lambda module, args, out: whole.append(module))
    with torch.autocast('cpu', torch.bfloat16):
        with torch.no_grad():
            found = run(backbone, images)
        assert not whole
        assert_close((found.maps[-1], found.class_tokens), (expected.maps[-1], expected.class_tokens))
        run(backbone, images)
    assert len(whole) == backbone.num_layers


@pytest.mark.parametrize('maps', [True, False], ids=['all tokens', 'class tokens alone'])
@pytest.mark.parametrize(('reader', 'attention', 'expected'), [
    (NotedHeads, lambda value: value.maps, lambda maps: maps),
    (NotedMeans, lambda value: value, lambda maps: maps.mean(dim=1)),
    (NotedQueryKeys, lambda value: (value.query @ value.key.mT).softmax(dim=-1), lambda maps: maps),
    (NotedScores, lambda value: value.product().softmax(dim=-1),
     lambda maps: (maps.log() - maps.log().mean(dim=-1, keepdim=True)).mean(dim=1).softmax(dim=-1))])
def test_gradients_through_what_is_observed(reader, attention, expected, maps, images):
    """Those of the explicit computation; the mean of scores before softmax is known up to a number for each row."""
    backbone, item = build(), reader(grad=True)
    plain = gradients(backbone, sum(expected(value).square().sum() for value in explicit_attention(backbone, images)))
    shown = run(backbone, images, item, maps=maps)[item]
    assert_close(gradients(backbone, sum(attention(value).square().sum() for _, value in shown)), plain)


def gradients(backbone, loss):
    """Return the gradients of all trained parameters, 0 where a loss does not reach one."""
    backbone.zero_grad()
    loss.backward()
    return {name: torch.zeros_like(param) if param.grad is None else param.grad.clone()
            for name, param in backbone.named_parameters() if param.requires_grad}


def outputs_and_gradients(backbone, images, *observations):
    features = run(backbone, images, *observations)
    outputs = features.maps[-1], features.class_tokens
    found = gradients(backbone, sum(output.square().sum() for output in outputs))
    return tuple(output.detach() for output in outputs), found


@pytest.mark.parametrize('recorded', [False, True])
@pytest.mark.parametrize('grad', [False, True])
def test_attention_dropout_acts_on_the_network_and_is_not_seen(recorded, grad, images):
    """What is seen of the first layer is what is seen without dropout; the network's output is random."""
    backbone = build()
    expected = explicit_attention(backbone, images)[0]
    backbone.train()
    for layer in backbone.layers:
        layer.attn.attn_drop = .5
    item = KeptAttention(layers=(0, ), grad=grad)
    with torch.set_grad_enabled(recorded):
        first, second = (run(backbone, images, item) for _ in range(2))
    for features in (first, second):
        assert_close(features[item][0], expected)
    assert not torch.allclose(first.maps[-1], second.maps[-1])


def test_attention_dropout_keeps_the_mean(images):
    """Explicit maps drop as fused attention does: on average the output of the layer is that without dropout."""
    backbone = build()
    item = NotedBlocks(layers=(0, ))
    expected = run(backbone, images, item)[item][0][1].attention.detach()
    backbone.train()
    backbone.layers[0].attn.attn_drop = .5
    pair = item, KeptAttention(layers=(0, ))
    with torch.no_grad():
        drawn = torch.stack([run(backbone, images, *pair)[item][0][1].attention for _ in range(300)])
    assert (drawn.mean(dim=0) - expected).abs().max() < 5 * drawn.std(dim=0).max() / 300**.5
    assert drawn.std(dim=0).mean() > 0
