"""Features on request: what a pass keeps, how requests add up, and that watching changes nothing."""

from dataclasses import dataclass
from typing import ClassVar

import mmpretrain.models
import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from mmwsss.models import (
    AttentionConformer,
    AttentionViT,
    MCTformerHead,
    Observation,
    Request,
    TransCAMHead,
    extract_features,
)
from mmwsss.models.backbones import ClassAttentionSum, PatchAttentionSum, PatchScores

from ...helpers import KeptAttention, attention_maps

LAYERS, HEADS, WIDTH = 4, 2, 16
KINDS = ('vit', 'conformer')


@dataclass(frozen=True)
class Noted(Observation):
    """What is shown of each layer, in order, and nothing more."""

    note: str = ''

    def init(self, layout):
        return []

    def update(self, state, layer, value):
        return [*state, (layer, value)]


class NotedHeads(Noted):
    reads: ClassVar[str] = 'heads'


class NotedMeans(Noted):
    reads: ClassVar[str] = 'mean'


class NotedScores(Noted):
    reads: ClassVar[str] = 'scores'


class NotedQueryKeys(Noted):
    reads: ClassVar[str] = 'query_key'


class NotedBlocks(Noted):
    reads: ClassVar[str] = 'block'


READERS = (NotedHeads, NotedMeans, NotedScores, NotedQueryKeys, NotedBlocks)


@dataclass(frozen=True)
class TokenSimilarity(Observation):
    """A diagnosis: the mean cosine between patch tokens after each layer, (B, L); near 1 they are over-smoothed."""

    reads: ClassVar[str] = 'block'

    def init(self, layout):
        return layout.num_class_tokens, []

    def update(self, state, layer, value):
        start, found = state
        directions = F.normalize(value.tokens[:, start:], dim=2)
        found.append((directions @ directions.mT).mean(dim=(1, 2)))
        return state

    def finish(self, state):
        return torch.stack(state[1], dim=1)


def build(kind='vit', **kwargs):
    torch.manual_seed(0)
    if kind == 'vit':
        arch = dict(embed_dims=WIDTH, num_layers=LAYERS, num_heads=HEADS, feedforward_channels=24)
        model = AttentionViT(arch=arch, img_size=32, patch_size=8, **{'num_class_tokens': 3, **kwargs})
        for param in model.parameters():
            torch.nn.init.normal_(param, std=.3)
    else:
        model = AttentionConformer(
            arch=dict(embed_dims=WIDTH, depths=6, num_heads=HEADS, channel_ratio=.25), stem_stride=2, **kwargs)
        for name, param in model.named_parameters():
            if 'attn.qkv' in name:
                torch.nn.init.normal_(param, std=.5)
    model.double().eval()  # a backbone of mmpretrain does not return itself
    return model


def layers_of(backbone):
    """Return mmpretrain's encoder layers of a backbone."""
    return [part for part in backbone.modules() if hasattr(part, 'attn') and hasattr(part, 'ffn')]


@pytest.fixture
def images():
    return torch.randn(2, 3, 32, 40, generator=torch.Generator().manual_seed(1), dtype=torch.double)


def run(backbone, images, *observations, **kwargs):
    return extract_features(backbone, images, Request(observations=observations, **kwargs))


def inputs_of_layers(backbone, images):
    """Return the normalized tokens that the attention of each layer takes."""
    seen = []
    handles = [layer.attn.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
               for layer in layers_of(backbone)]
    extract_features(backbone, images)
    for handle in handles:
        handle.remove()
    return seen


def explicit_attention(backbone, images):
    """Return attention (B, H, T, T) of each layer, computed from its projection and nothing else."""
    found = []
    for layer, x in zip(layers_of(backbone), inputs_of_layers(backbone, images)):
        query, key, _ = layer.attn.qkv(x).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        found.append((query @ key.mT / query.shape[-1]**.5).softmax(dim=-1))
    return found


# Requests


def test_requests_add_up():
    one, other = ClassAttentionSum(layers=(-1, )), PatchScores()
    total = Request(hidden=(1, ), observations=(one, ), maps=False) + Request(hidden=(-1, ), observations=(other, ))
    assert total == Request(hidden=(1, -1), observations=(one, other), maps=True)
    assert not (Request(maps=False) + Request(maps=False)).maps
    assert Request() == Request((), (), True)


@pytest.mark.parametrize('kind', KINDS)
def test_the_sum_of_requests_gives_what_each_gives(kind, images):
    backbone = build(kind)
    parts = [Request(hidden=(0, ), observations=(PatchAttentionSum(layers=(0, 2)), )),
             Request(hidden=(-1, ), observations=(ClassAttentionSum(), TokenSimilarity()), maps=False)]
    both = extract_features(backbone, images, parts[0] + parts[1])
    for part in parts:
        alone = extract_features(backbone, images, part)
        assert_close(both.class_tokens, alone.class_tokens)
        for layer in part.hidden:
            assert_close(both.hidden[layer], alone.hidden[layer])
        for item in part.observations:
            assert_close(both[item], alone[item])


def test_equal_observations_share_their_work(images):
    """Equal ones are updated once for each head, others on their own."""
    calls = []

    @dataclass(frozen=True)
    class Counted(ClassAttentionSum):
        note: str = ''

        def update(self, state, layer, value):
            calls.append((self.note, layer))
            return super().update(state, layer, value)

    features = run(build(), images, Counted(layers=(1, )), Counted(layers=(1, )), Counted(layers=(1, ), note='b'))
    assert sorted(calls) == [('', 1)] * HEADS + [('b', 1)] * HEADS
    assert torch.equal(features[Counted(layers=(1, ))], features[Counted(layers=(1, ), note='b')])


def test_attention_is_computed_once_for_all_who_look(images):
    backbone, passes = build(), []
    for layer in backbone.layers:
        layer.attn.qkv.register_forward_hook(lambda module, args, out: passes.append(1))
    run(backbone, images, *(reader() for reader in READERS), ClassAttentionSum(), PatchAttentionSum(), PatchScores())
    assert len(passes) == LAYERS


def test_only_what_was_requested_is_there(images):
    features = run(build(), images, PatchScores())
    assert PatchScores() in features
    assert PatchScores(grad=True) not in features
    with pytest.raises(KeyError, match='ClassAttentionSum.* was not requested for this pass'):
        features[ClassAttentionSum()]
    assert features.hidden == {}


def test_values_computed_once(images):
    features, calls = extract_features(build(), images), []

    def total(given):
        calls.append(given)
        return given.maps[-1].sum()

    assert features.once(total) is features.once(total)
    assert calls == [features]


# Layers


@pytest.mark.parametrize(('layers', 'expected'), [
    (None, [0, 1, 2, 3]), ('shallow', [0, 1]), ('deep', [2, 3]), ((-1, ), [3]), ((0, -2), [0, 2]), ((), [])])
def test_layers_of_an_observation(layers, expected, images):
    item = NotedBlocks(layers=layers)
    assert [layer for layer, _ in run(build(), images, item)[item]] == expected


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('request_of', [lambda i: Request(hidden=(i, )),
                                        lambda i: Request(observations=(KeptAttention(layers=(0, i)), ))])
def test_layers_that_do_not_exist(kind, request_of, images):
    backbone = build(kind)
    for layer in (backbone.num_layers, -backbone.num_layers - 1):
        with pytest.raises(IndexError, match=f'layer {layer} does not exist: the backbone has {backbone.num_layers}'):
            extract_features(backbone, images, request_of(layer))


@pytest.mark.parametrize('kind', KINDS)
def test_hidden_maps_are_the_raw_tokens_of_a_layer(kind, images):
    backbone = build(kind)
    item = NotedBlocks()
    features = run(backbone, images, item, hidden=(1, -2, -1))
    start, count = features.layout.num_class_tokens, backbone.num_layers
    assert set(features.hidden) == {1, -2, -1}
    for layer, found in features.hidden.items():
        tokens = features[item][layer % count][1].tokens
        assert_close(found.flatten(2).mT, tokens[:, start:])
        assert found.shape[2:] == features.grid


@pytest.mark.parametrize('kind', KINDS)
def test_what_is_known_of_the_tokens(kind, images):
    backbone = build(kind)
    features = extract_features(backbone, images)
    layout = features.layout
    count = 3 if kind == 'vit' else 1
    assert (layout.num_layers, layout.num_heads, layout.num_class_tokens) == (backbone.num_layers, HEADS, count)
    assert layout.grid == features.grid == (4, 5)
    assert layout.num_tokens == count + 20 == attention_maps(backbone, images)[0].shape[-1]
    assert features.class_tokens.shape == (2, count, WIDTH)


# Class tokens alone


@pytest.mark.parametrize('observed', [(), (KeptAttention(), PatchScores()), (NotedBlocks(), )],
                         ids=['unobserved', 'attention', 'block'])
def test_class_tokens_alone(observed, images):
    backbone = build()
    full, short = (run(backbone, images, *observed, maps=maps) for maps in (True, False))
    assert short.maps == ()
    assert_close(short.class_tokens, full.class_tokens)
    for item in observed:
        for one, other in zip(flat(short[item]), flat(full[item])):
            assert_close(one, other)


def test_the_last_layer_computes_class_tokens_alone_unless_somebody_sees_all(images):
    backbone, widths = build(), []
    backbone.layers[-1].ffn.register_forward_hook(lambda module, args, out: widths.append(args[0].shape[1]))
    for request in (Request(), Request(maps=False), Request(maps=False, hidden=(-1, )),
                    Request(maps=False, observations=(KeptAttention(), )),
                    Request(maps=False, observations=(NotedBlocks(), )), Request(maps=False, hidden=(0, ))):
        extract_features(backbone, images, request)
    assert widths == [23, 3, 23, 3, 23, 3]


def test_a_conformer_needs_its_tokens_in_any_case(images):
    backbone = build('conformer')
    short = extract_features(backbone, images, Request(maps=False))
    assert short.maps == ()
    assert_close(short.class_tokens, extract_features(backbone, images).class_tokens)


# What is shown


def flat(value):
    """Return all tensors in nested containers, in order."""
    if isinstance(value, torch.Tensor):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [tensor for part in parts for tensor in flat(part)]


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


@pytest.mark.parametrize('reader', [NotedHeads, NotedMeans, NotedScores, NotedQueryKeys])
def test_gradients_through_what_is_observed(reader, images):
    """Those of the explicit computation, where the last layer's class tokens are computed alone and where not."""
    expected = gradients(backbone := build(), sum(
        maps.square().sum() for maps in explicit_attention(backbone, images)))
    for maps in (True, False):
        values = run(backbone, images, reader(grad=True), maps=maps)[reader(grad=True)]
        found = {
            NotedHeads: lambda value: value.maps, NotedQueryKeys: lambda value: (value.query @ value.key.mT).softmax(-1)
        }.get(reader)
        if found is None:
            continue
        torch.testing.assert_close(
            gradients(backbone, sum(found(value).square().sum() for _, value in values)), expected)
    if reader is NotedMeans:
        mean = gradients(backbone, sum(maps.mean(1).square().sum() for maps in explicit_attention(backbone, images)))
        assert_close(gradients(backbone, sum(value.square().sum() for _, value in values)), mean)
    if reader is NotedScores:
        assert all(value.product().requires_grad for _, value in values)


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


# Other backbones


def tiny_swin():
    return mmpretrain.models.SwinTransformer(
        arch=dict(embed_dims=8, depths=[1, 1], num_heads=[1, 2]), img_size=32, window_size=4, out_indices=(0, 1))


def tiny_vit(out_type):
    return mmpretrain.models.VisionTransformer(
        arch=dict(embed_dims=8, num_layers=1, num_heads=1, feedforward_channels=8), img_size=32, patch_size=8,
        out_type=out_type)


OTHERS = {
    'ResNet': lambda: mmpretrain.models.ResNet(18, base_channels=4, stem_channels=4, out_indices=(1, 3)),
    'SwinTransformer': tiny_swin,
    'VisionTransformer': lambda: tiny_vit('featmap'),
    'Conv2d': lambda: torch.nn.Conv2d(3, 4, 3)}


@pytest.mark.parametrize('name', OTHERS)
def test_any_backbone_that_gives_feature_maps(name, images):
    backbone = OTHERS[name]().double()
    backbone.eval()
    features = extract_features(backbone, images[..., :32])
    expected = backbone(images[..., :32])
    expected = expected if isinstance(expected, tuple) else (expected, )
    assert len(features.maps) == len(expected)
    for one, other in zip(features.maps, expected):
        assert torch.equal(one, other)
    assert features.grid == tuple(expected[-1].shape[2:])
    assert features.class_tokens is features.layout is None
    assert features.hidden == {}
    for request, words in ((Request(observations=(PatchScores(), KeptAttention())), 'PatchScores, KeptAttention'),
                           (Request(hidden=(-1, )), r'hidden layers \[-1\]')):
        with pytest.raises(TypeError, match=f'{name} cannot give {words}: it takes an observable backbone such as'):
            extract_features(backbone, images[..., :32], request)


@pytest.mark.parametrize('out_type', ['cls_token', 'avg_featmap', 'raw'])
def test_backbones_without_feature_maps(out_type):
    with pytest.raises(TypeError, match=r"VisionTransformer gives no feature maps .* set out_type='featmap'"):
        extract_features(tiny_vit(out_type), torch.zeros(1, 3, 32, 32))


# A diagnosis from outside


@pytest.mark.parametrize('kind', KINDS)
def test_a_diagnosis_beside_a_head_in_one_pass(kind, images):
    """Token similarity by layer, of which neither backbone nor head knows: one pass, and the head's maps stay."""
    backbone = build(kind)
    head = MCTformerHead(3, WIDTH) if kind == 'vit' else TransCAMHead(3, 64, WIDTH)
    head.double()
    request = head.request(head.default_maps)
    stem = backbone.patch_embed if kind == 'vit' else backbone.trans_patch_conv
    expected = head.maps(extract_features(backbone, images, request), head.default_maps)
    passes = []
    stem.register_forward_hook(lambda module, args, out: passes.append(len(out)))
    features = extract_features(backbone, images, request + Request(observations=(TokenSimilarity(), )))
    similarity = features[TokenSimilarity()]
    assert len(passes) == 1
    assert similarity.shape == (2, backbone.num_layers)
    assert not similarity.requires_grad
    assert_close(head.maps(features, head.default_maps), expected)
    hidden = extract_features(backbone, images, Request(hidden=tuple(range(backbone.num_layers)))).hidden
    for layer, tokens in hidden.items():
        directions = tokens.flatten(2) / tokens.flatten(2).norm(dim=1, keepdim=True)
        assert_close(similarity[:, layer], torch.einsum('bdi,bdj->bij', directions, directions).mean(dim=(1, 2)))
