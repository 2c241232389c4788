"""What the shared observations keep, against the attention maps themselves."""

import pytest
import torch
from torch.testing import assert_close

from mmwsss.models import AttentionViT, Request, extract_features
from mmwsss.models.backbones import (
    ClassAttentionSum,
    ClassTokens,
    PatchAttention,
    PatchAttentionSum,
    PatchScores,
    QueryKeys,
)

from ...helpers import KeptAttention, attention_maps

LAYERS, HEADS, CLASSES, PATCHES = 3, 2, 3, 24
SUMS = ClassAttentionSum(layers=(1, 2), classes=(2, 0)), PatchAttentionSum(layers=(0, 2))


@pytest.fixture
def vit():
    torch.manual_seed(0)
    vit = AttentionViT(
        arch=dict(embed_dims=16, num_layers=LAYERS, num_heads=HEADS, feedforward_channels=32), img_size=16,
        patch_size=4, num_class_tokens=CLASSES, raw_output=True)
    for param in vit.parameters():
        torch.nn.init.normal_(param, std=0.3)
    vit.eval()
    return vit


@pytest.fixture
def images():
    return torch.randn(2, 3, 16, 24, generator=torch.Generator().manual_seed(1))


def with_grad(grad, *observations):
    return tuple(type(item)(**{**vars(item), 'grad': grad}) for item in observations)


@pytest.mark.parametrize('maps', [True, False], ids=['all tokens', 'class tokens alone'])
@pytest.mark.parametrize(('recorded', 'observed'), [(False, False), (True, False), (True, True)])
def test_sums_with_and_without_gradient(vit, images, maps, recorded, observed):
    means = [layer.mean(dim=1) for layer in attention_maps(vit, images)]
    class_sum, patch_sum = with_grad(observed, *SUMS)
    with torch.set_grad_enabled(recorded):
        features = extract_features(vit, images, Request(observations=(class_sum, patch_sum), maps=maps))
    assert features[class_sum].requires_grad == features[patch_sum].requires_grad == observed
    assert_close(features[class_sum], sum(means[layer][:, [2, 0], CLASSES:] for layer in (1, 2)))
    assert_close(features[patch_sum], sum(means[layer][:, CLASSES:, CLASSES:] for layer in (0, 2)))
    assert_close(features.class_tokens, extract_features(vit, images).class_tokens)


@torch.no_grad()
def test_all_classes_unless_some_are_named(vit, images):
    features = extract_features(vit, images, Request(observations=(ClassAttentionSum(), )))
    expected = sum(layer.mean(dim=1)[:, :CLASSES, CLASSES:] for layer in attention_maps(vit, images))
    assert_close(features[ClassAttentionSum()], expected)


@torch.no_grad()
def test_half_precision(vit, images):
    exact = extract_features(vit, images, Request(observations=SUMS))
    with torch.autocast('cpu', torch.bfloat16):
        rounded = extract_features(vit, images, Request(observations=SUMS))
    for item in SUMS:
        assert_close(rounded[item].float(), exact[item], atol=0.02, rtol=0.05)


@pytest.mark.parametrize('recorded', [False, True])
@pytest.mark.parametrize('keys', ['all', 'patches'])
def test_patch_attention_of_each_layer(vit, images, keys, recorded):
    item = PatchAttention(keys=keys)
    with torch.set_grad_enabled(recorded):
        found = extract_features(vit, images, Request(observations=(item, )))[item]
    assert found.shape == (2, LAYERS, PATCHES, PATCHES)
    assert not found.requires_grad
    for index, maps in enumerate(attention_maps(vit, images)):
        part = maps[:, :, CLASSES:, CLASSES:]
        part = part / part.sum(dim=-1, keepdim=True) if keys == 'patches' else part
        assert_close(found[:, index], part.mean(dim=1))


@pytest.mark.parametrize('maps', [True, False], ids=['all tokens', 'class tokens alone'])
def test_scores_before_softmax(vit, images, maps):
    """Their mean over heads, from the layer's own projection; with gradient where that is asked for."""
    for grad in (True, False):
        item = PatchScores(grad=grad)
        features = extract_features(vit, images, Request(observations=(item, ), maps=maps))
        for scores, expected in zip(features[item], mean_scores(vit, images)):
            assert_close(scores.product(), expected)
            assert scores.product().requires_grad == grad


@torch.no_grad()
def test_attention_from_queries_and_keys(vit, images):
    item = QueryKeys(layers=(0, -1))
    features = extract_features(vit, images, Request(observations=(item, )))
    maps = attention_maps(vit, images)
    assert len(features[item]) == 2
    for (query, key), expected in zip(features[item], (maps[0], maps[2])):
        assert_close((query @ key.mT).softmax(dim=-1), expected)


def test_equal_observations_are_one():
    assert ClassAttentionSum(layers=(1, )) == ClassAttentionSum(layers=(1, ))
    assert len({PatchAttention(), PatchAttention(keys='all'), PatchAttention(keys='patches')}) == 2
    assert PatchScores() != PatchScores(grad=True)
    assert KeptAttention() != PatchAttention()


def mean_scores(vit, images):
    """Return the products (B, N, N) of queries and keys of patches, averaged over heads, of every layer."""
    found = []

    def hook(module, inputs, output):
        query, key, _ = output.unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        found.append((query @ key.mT / query.shape[-1]**.5).mean(dim=1)[:, CLASSES:, CLASSES:])

    handles = [layer.attn.qkv.register_forward_hook(hook) for layer in vit.layers]
    vit(images)
    for handle in handles:
        handle.remove()
    return found


def test_class_tokens_after_each_layer(vit, images):
    request = Request(observations=(ClassTokens(grad=True), ClassTokens(layers=(-2, ))), maps=False)
    features = extract_features(vit, images, request)
    tokens = features[ClassTokens(grad=True)]
    assert tokens.shape == (LAYERS, 2, CLASSES, 16)
    assert_close(tokens[-1], features.class_tokens)
    assert_close(features[ClassTokens(layers=(-2, ))], tokens[1:2])
    x, _ = vit._embed(images)
    for layer, expected in zip(vit.layers, tokens):
        x = layer(x)
        assert_close(x[:, :CLASSES], expected)
    tokens[0].sum().backward()
    assert vit.layers[0].attn.qkv.weight.grad.any()
    assert vit.layers[1].attn.qkv.weight.grad is None or not vit.layers[1].attn.qkv.weight.grad.any()
