"""Sums of attention: what is added, and that heads one by one add up to the same."""

import pytest
import torch

from mmwsss.models import AttentionViT
from mmwsss.models.utils import AttentionSums

CLASSES = torch.tensor([0, 2])


@pytest.fixture
def vit():
    torch.manual_seed(0)
    vit = AttentionViT(
        arch=dict(embed_dims=16, num_layers=3, num_heads=2, feedforward_channels=32), img_size=16, patch_size=4,
        num_class_tokens=3, raw_output=True)
    for param in vit.parameters():
        torch.nn.init.normal_(param, std=0.3)
    vit.eval()
    return vit


def run(vit, images, **kwargs):
    sums = AttentionSums(3, [1, 2], [0, 2], CLASSES)
    return sums, vit.forward_tokens(images, attention=sums.layers, attention_fn=sums, **kwargs)


@pytest.mark.parametrize('class_tokens_only', [False, True])
def test_sums_of_a_forward_pass_with_and_without_gradients(vit, class_tokens_only):
    images = torch.randn(2, 3, 16, 24)
    maps = vit.forward_tokens(images, attention=[0, 1, 2]).attentions
    class_to_patch = sum(maps[layer][:, CLASSES, 3:] for layer in (1, 2))
    patch_to_patch = sum(maps[layer][:, 3:, 3:] for layer in (0, 2))
    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            sums, tokens = run(vit, images, class_tokens_only=class_tokens_only)
        assert sums.patch_to_patch.requires_grad is grad
        torch.testing.assert_close(sums.class_to_patch, class_to_patch)
        torch.testing.assert_close(sums.patch_to_patch, patch_to_patch)
        torch.testing.assert_close(tokens.class_tokens, vit.forward_tokens(images).class_tokens)


@torch.no_grad()
def test_heads_come_one_by_one_where_that_is_faster(vit, monkeypatch):
    seen = []
    monkeypatch.setattr(
        AttentionSums, 'add_head', lambda self, layer, maps, heads: seen.append((layer, maps.shape[1:])))
    images = torch.randn(1, 3, 16, 16)
    run(vit, images)
    assert seen == [(layer, (19, 19)) for layer in (0, 1, 2) for _ in range(2)]
    seen.clear()
    vit.train()
    vit.layers[0].attn.attn_drop = 0.5  # what reaches the values is not what is handed out
    run(vit, images)
    assert {layer for layer, _ in seen} == {1, 2}


@torch.no_grad()
def test_half_precision(vit):
    images = torch.randn(2, 3, 16, 16)
    exact, _ = run(vit, images)
    with torch.autocast('cpu', torch.bfloat16):
        rounded, _ = run(vit, images)
    torch.testing.assert_close(rounded.patch_to_patch.float(), exact.patch_to_patch, atol=0.02, rtol=0.05)
