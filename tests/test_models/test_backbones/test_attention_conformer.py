import pytest
import torch
from mmpretrain.models import Conformer

from mmwsss.models import AttentionConformer, Request, extract_features

from ...helpers import KeptAttention

ARCH = dict(embed_dims=24, depths=6, num_heads=2, channel_ratio=0.25)


def randomized(model):
    """Give every parameter and statistic a value that matters, in double precision and eval mode."""
    torch.manual_seed(0)
    model.double()
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            torch.nn.init.uniform_(tensor, *((0.5, 1.5) if name.endswith('running_var') else (-0.3, 0.3)))
    model.eval()
    return model


def build(**kwargs):
    return randomized(AttentionConformer(arch=ARCH, **kwargs))


def images(*size, batch=2):
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(1), dtype=torch.double)


@pytest.mark.parametrize('size', [(64, 64), (96, 48), (70, 50)])
def test_equals_mmpretrain_where_both_are_defined(size):
    ours = build(last_stride=2)
    theirs = Conformer(arch=ARCH).double()
    theirs.load_state_dict(ours.state_dict())
    theirs.eval()
    (pooled, token), = theirs(images(*size))
    features = extract_features(ours, images(*size))
    for got, expected in ((features.maps[-1].mean(dim=(2, 3)), pooled), (features.class_tokens[:, 0], token),
                          *zip(ours(images(*size))[0], (pooled, token))):
        assert expected.std() > 1e-3
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)


def test_training_gradients_equal_mmpretrain():
    ours = build(last_stride=2)
    theirs = Conformer(arch=ARCH).double()
    theirs.load_state_dict(ours.state_dict())
    ours.train()
    theirs.train()
    (pooled, token), = theirs(images(64, 32))
    (pooled.square().sum() + token.square().sum()).backward()
    features = extract_features(ours, images(64, 32))
    (features.maps[-1].mean(dim=(2, 3)).square().sum() + features.class_tokens.square().sum()).backward()
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters()):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-9, atol=1e-9, msg=name)


@pytest.mark.parametrize('size', [(64, 64), (96, 48)])
def test_stride_one_gives_a_map_on_the_token_grid(size):
    """The last unit, recomputed from its weights: only its 3x3 and its shortcut convolution have another stride."""
    conformer = build()
    seen = {}
    last = conformer.conv_trans_6.fusion_block
    hook = last.register_forward_hook(lambda module, args, kwargs, out: seen.update(x=args[0], **kwargs),
                                      with_kwargs=True)
    features = extract_features(conformer, images(*size)).maps[-1]
    hook.remove()
    assert features.shape == (2, 64, size[0] // 16, size[1] // 16)
    x = last.bn1(torch.conv2d(seen['x'], last.conv1.weight)).relu() + seen['fusion_features']
    x = last.bn2(torch.conv2d(x, last.conv2.weight, padding=1)).relu()
    x = last.bn3(torch.conv2d(x, last.conv3.weight))
    expected = (x + last.residual_bn(torch.conv2d(seen['x'], last.residual_conv.weight))).relu()
    torch.testing.assert_close(features, expected)


def test_other_parts_have_no_other_stride():
    strides = {name: (a.stride, b.stride) for (name, a), b in zip(AttentionConformer(arch=ARCH).named_modules(),
                                                                 Conformer(arch=ARCH).modules())
               if isinstance(a, torch.nn.Conv2d) and a.stride != b.stride}
    assert strides == {f'conv_trans_6.fusion_block.{conv}': ((1, 1), (2, 2)) for conv in ('conv2', 'residual_conv')}


def test_drop_path_acts_in_transformer_blocks_only():
    conformer = AttentionConformer(arch=ARCH, drop_path_rate=0.1)
    rates = {name: module.drop_prob for name, module in conformer.named_modules() if hasattr(module, 'drop_prob')}
    for i in range(6):
        block = 'trans_1' if i == 0 else f'conv_trans_{i + 1}.trans_block'
        own = [rates.pop(name) for name in list(rates) if name.startswith(f'{block}.')]
        assert own == pytest.approx([0.02 * i] * len(own))
        assert len(own) == 2
    assert not rates


def test_fine_stem_doubles_the_grid():
    conformer = build(stem_stride=2)
    assert extract_features(conformer, images(64, 32)).maps[-1].shape == (2, 64, 8, 4)
    assert conformer.patch_size == (8, 8)
    assert build().patch_size == (16, 16)


def test_named_sizes():
    counts = {arch: sum(p.numel() for p in AttentionConformer(arch=arch).parameters()) / 1e6
              for arch in ('tiny', 'small', 'base')}
    # mmpretrain's figures with their heads of 1000 classes on both branches.
    heads = {'tiny': 256 + 384, 'small': 1024 + 384, 'base': 1536 + 576}
    totals = {arch: round(count + (heads[arch] + 2) * 1e-3, 2) for arch, count in counts.items()}
    assert totals == dict(tiny=23.52, small=37.67, base=83.29)


@pytest.mark.parametrize(('kwargs', 'message'), [
    (dict(arch='large'), "arch must be one of .*'large'"),
    (dict(arch=dict(embed_dims=24)), r"keys .*got \['embed_dims'\]"),
    (dict(arch={**ARCH, 'depths': 8}), 'multiple of 3.*got 8'),
    (dict(arch=ARCH, last_stride=4), r'last_stride must be one of \(1, 2\), got 4'),
    (dict(arch=ARCH, stem_stride=1), r'stem_stride must be one of \(2, 4\), got 1'),
])
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        AttentionConformer(**kwargs)


def test_unknown_layer():
    with pytest.raises(IndexError, match='layer 6 does not exist: the backbone has 6 layers'):
        extract_features(build(), images(32, 32), Request(observations=(KeptAttention(layers=(6, )), )))
