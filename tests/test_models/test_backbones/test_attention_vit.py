import pytest
import torch
from mmpretrain.models import VisionTransformer

from mmwsss.models import AttentionViT, Request, extract_features

ARCH = dict(embed_dims=32, num_layers=4, num_heads=4, feedforward_channels=64)


def build(**kwargs):
    torch.manual_seed(0)
    vit = AttentionViT(arch=ARCH, img_size=64, patch_size=8, **kwargs)
    for param in vit.parameters():
        torch.nn.init.normal_(param, std=0.1)
    vit.eval()
    return vit


@pytest.mark.parametrize('size', [(64, 64), (70, 50)])
def test_equals_mmpretrain(size):
    vit = build(out_indices=[1, -1])
    plain = VisionTransformer(
        arch=ARCH, img_size=64, patch_size=8, out_type='featmap', out_indices=[1, -1], patch_cfg=dict(padding=0))
    plain.eval()
    plain.load_state_dict(vit.state_dict())
    images = torch.randn(2, 3, *size)
    for ours, theirs in zip(vit(images), plain(images)):
        assert ours.shape[-2:] == (size[0] // 8, size[1] // 8)
        torch.testing.assert_close(ours, theirs)


def test_class_tokens_only_gives_the_same_tokens_and_gradients():
    vit = build()
    images = torch.randn(2, 3, 48, 32)
    grads = []
    for only in (False, True):
        vit.zero_grad()
        features = extract_features(vit, images, Request(maps=not only))
        features.class_tokens.square().sum().backward()
        grads.append([p.grad.clone() for p in vit.parameters()])
    assert features.maps == ()
    for full, short in zip(*grads):
        torch.testing.assert_close(full, short, rtol=1e-4, atol=1e-5)


def test_several_class_tokens_start_as_copies():
    single = build()
    many = AttentionViT(arch=ARCH, img_size=64, patch_size=8, num_class_tokens=5)
    missing = many.load_state_dict(single.state_dict())
    assert not missing.missing_keys
    assert many.cls_token.shape == (1, 5, 32)
    assert torch.equal(many.cls_token, single.cls_token.expand(1, 5, 32))
    assert torch.equal(many.pos_embed[:, :5], single.pos_embed[:, :1].expand(1, 5, 32))
    assert torch.equal(many.pos_embed[:, 5:], single.pos_embed[:, 1:])
    features = extract_features(many, torch.randn(1, 3, 64, 64))
    assert features.class_tokens.shape == (1, 5, 32)
    assert features.maps[-1].shape == (1, 32, 8, 8)


def test_noise_on_the_copies():
    single = build()
    many = AttentionViT(arch=ARCH, img_size=64, patch_size=8, num_class_tokens=200, class_token_std=0.5)
    many.load_state_dict(single.state_dict())
    noise = many.cls_token - single.cls_token
    assert noise.std().item() == pytest.approx(0.5, rel=0.05)
    again = AttentionViT(arch=ARCH, img_size=64, patch_size=8, num_class_tokens=200, class_token_std=0.5)
    again.load_state_dict(many.state_dict())
    assert torch.equal(again.cls_token, many.cls_token)


def test_checkpoint_of_another_grid_is_resized():
    vit = AttentionViT(arch=ARCH, img_size=32, patch_size=8)
    vit.load_state_dict(build().state_dict())
    assert vit.pos_embed.shape == (1, 17, 32)


def test_scale_grid_differs_from_size_grid():
    images = torch.randn(1, 3, 80, 40)
    size, scale = build(), build(pos_embed_grid='scale')
    (by_size, ), (by_scale, ) = size(images), scale(images)
    assert by_size.shape == by_scale.shape == (1, 32, 10, 5)
    assert not torch.allclose(by_size, by_scale)


@pytest.mark.parametrize(('size', 'expected'), [
    ((32, 32), [0., 1., 2., 3.]),
    ((48, 32), [-0.197090, 0.762711, 0.910436, 1.870237, 2.116253, 3.076054]),
    ((48, 64), [-0.286365, 0.027753, 0.561589, 0.917626, 0.821161, 1.135279, 1.669116, 2.025153, 2.026979, 2.341096,
                2.874933, 3.230970]),
    ((32, 16), [0.364069, 2.283670])])
def test_scale_grid_of_the_worked_example(size, expected):
    """Position rows of a 2x2 grid; a network of zeros hands them through."""
    arch = dict(embed_dims=1, num_layers=1, num_heads=1, feedforward_channels=1)
    vit = AttentionViT(
        arch=arch, img_size=32, patch_size=16, num_class_tokens=2, pos_embed_grid='scale', raw_output=True)
    for parameter in vit.parameters():
        torch.nn.init.zeros_(parameter)
    vit.pos_embed.data = torch.tensor([10., 20., 0., 1., 2., 3.]).view(1, 6, 1)
    features = extract_features(vit, torch.rand(1, 3, *size))
    assert features.class_tokens.flatten().tolist() == [10, 20]
    torch.testing.assert_close(features.maps[-1].flatten(), torch.tensor(expected), atol=3e-6, rtol=0)


def test_raw_output_leaves_out_the_final_norm():
    images = torch.randn(2, 3, 40, 56)
    normed, raw = build(), build(raw_output=True)
    raw.load_state_dict(normed.state_dict())
    assert not any(parameter.requires_grad for parameter in raw.ln1.parameters())
    kept = extract_features(normed, images, Request(hidden=(-1, )))
    features = extract_features(raw, images)
    torch.testing.assert_close(features.maps[-1], kept.hidden[-1])
    torch.testing.assert_close(normed.ln1(features.class_tokens), kept.class_tokens)


def test_frozen_pos_embed():
    assert not build(freeze_pos_embed=True).pos_embed.requires_grad
    assert build().pos_embed.requires_grad


@pytest.mark.parametrize('num_class_tokens', [1, 3])
def test_frozen_stages(num_class_tokens):
    backbone = build(num_class_tokens=num_class_tokens, frozen_stages=1)
    learned = {name for name, parameter in backbone.named_parameters() if parameter.requires_grad}
    assert not [name for name in learned if name.startswith(('patch_embed', 'pos_embed', 'layers.0.'))]
    assert {name for name, _ in backbone.named_parameters() if name.startswith(('layers.1.', 'ln1.'))} <= learned
    assert ('cls_token' in learned) == (num_class_tokens > 1)


def test_more_frozen_stages_than_layers():
    with pytest.raises(ValueError, match='frozen_stages must be at most'):
        build(frozen_stages=99)


def test_bad_arguments():
    with pytest.raises(ValueError, match='num_class_tokens'):
        AttentionViT(arch=ARCH, num_class_tokens=0)
    with pytest.raises(ValueError, match='pos_embed_start'):
        AttentionViT(arch=ARCH, pos_embed_start='other')
    with pytest.raises(ValueError, match='pos_embed_grid'):
        AttentionViT(arch=ARCH, pos_embed_grid='other')
    with pytest.raises(IndexError, match='layer 4'):
        extract_features(build(), torch.randn(1, 3, 32, 32), Request(hidden=(4, )))


def test_positions_of_a_checkpoint_are_repeated_if_asked():
    small = AttentionViT(arch=ARCH, img_size=32, patch_size=16)
    torch.nn.init.normal_(small.pos_embed)
    large = AttentionViT(arch=ARCH, img_size=64, patch_size=16, num_class_tokens=3, pos_embed_start='repeat')
    large.load_state_dict(small.state_dict())
    assert torch.equal(large.pos_embed[:, :3], small.pos_embed[:, :1].expand(-1, 3, -1))
    old, new = small.pos_embed[0, 1:].unflatten(0, (2, 2)), large.pos_embed[0, 3:].unflatten(0, (4, 4))
    assert torch.equal(new, old.repeat_interleave(2, 0).repeat_interleave(2, 1))
