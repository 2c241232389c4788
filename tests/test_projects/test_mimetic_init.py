"""The start of the pretraining."""

import pytest
import torch
from mmpretrain.models import VisionTransformer

from mmwsss.models.backbones import AttentionConformer
from projects.sample_backbones.mimetic_init import mimetic_init, sincos_grid

DIMS, HEADS = 64, 2


@pytest.fixture
def vit():
    torch.manual_seed(0)
    vit = VisionTransformer(
        arch=dict(embed_dims=DIMS, num_layers=2, num_heads=HEADS, feedforward_channels=64), img_size=32, patch_size=8)
    mimetic_init(vit, position_scale=0.5)
    return vit


def test_all_layers_of_a_conformer_too():
    torch.manual_seed(0)
    conformer = AttentionConformer(dict(embed_dims=DIMS, depths=3, num_heads=HEADS, channel_ratio=0.25))
    mimetic_init(conformer)
    tokens = torch.nn.functional.layer_norm(torch.randn(1, 9, DIMS), (DIMS, ))
    layers = [module for module in conformer.modules() if hasattr(module, 'qkv')]
    assert len(layers) == 3
    for attn in layers:
        query, key = attn.qkv(tokens).chunk(3, dim=-1)[:2]
        attention = (query @ key.transpose(1, 2) / attn.head_dims**0.5).softmax(dim=-1)[0]
        assert (attention.diagonal() > 0.8).all(), 'like attends to like'


def test_products_lie_near_multiples_of_the_identity(vit):
    for layer in vit.layers:
        query, key, value = layer.attn.qkv.weight.detach().chunk(3)
        output = layer.attn.proj.weight.detach() @ value
        assert output.diagonal().mean() == pytest.approx(-0.4, abs=0.05)
        assert (output - torch.diag(output.diagonal())).std() < 0.08
        width = DIMS // HEADS
        for head in range(HEADS):
            rows = slice(head * width, (head + 1) * width)
            scores = query[rows].T @ key[rows]
            assert scores.diagonal().mean() > 0.35  # 0.7, of which a head keeps the largest half of the spectrum
            assert scores.diagonal().mean() > 4 * scores.mean().abs()


def test_positions_attend_to_their_neighbors(vit):
    patches = vit.pos_embed.detach()[0, 1:]
    assert vit.pos_embed[0, 0].abs().max() == 0
    torch.testing.assert_close(patches, 0.5 * sincos_grid(4, 4, DIMS))
    likeness = patches @ patches.T
    assert likeness[5].argmax() == 5
    assert likeness[5, 6] > likeness[5, 7]
    assert likeness[5, 9] > likeness[5, 13]


def test_channels_must_fit():
    with pytest.raises(ValueError, match='66'):
        sincos_grid(2, 2, 66)
