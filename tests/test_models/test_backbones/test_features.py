"""Features on request: what a pass keeps, and how requests add up."""

from dataclasses import dataclass
from typing import ClassVar

import mmpretrain.models
import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from mmwsss.models import (
    MCTformerHead,
    Observation,
    Request,
    TransCAMHead,
    extract_features,
)
from mmwsss.models.backbones import ClassAttentionSum, PatchAttentionSum, PatchScores

from ...helpers import KeptAttention, attention_maps
from .observed import HEADS, KINDS, LAYERS, READERS, WIDTH, NotedBlocks, build, flat, run


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


@pytest.fixture
def images():
    return torch.randn(2, 3, 32, 40, generator=torch.Generator().manual_seed(1), dtype=torch.double)


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
