import math

import pytest
import torch
from torch.nn import functional as F

from mmwsss.registry import MODELS


def build(kind, **kwargs):
    torch.manual_seed(0)
    return MODELS.build(dict(type=kind, **{'in_channels': 6, 'num_classes': 3, **kwargs})).double()


def features(size=(9, 8), channels=6):
    return torch.randn(2, channels, *size, generator=torch.Generator().manual_seed(1), dtype=torch.double)


def shapes(head):
    return {name: tuple(value.shape) for name, value in head.state_dict().items()}


def test_v1_is_two_dilated_convolutions():
    head = build('DeepLabV1Head', channels=5, dilation=2)
    assert shapes(head) == {'fov_conv.weight': (5, 6, 3, 3), 'fov_conv.bias': (5, ), 'conv_seg.weight': (3, 5, 3, 3),
                            'conv_seg.bias': (3, )}
    head.train()
    x = features()
    inner = F.conv2d(x, head.fov_conv.weight, head.fov_conv.bias, padding=2, dilation=2).clamp(min=0)
    expected = F.conv2d(inner, head.conv_seg.weight, head.conv_seg.bias, padding=2, dilation=2)
    torch.testing.assert_close(head([features() + 1, x]), expected)
    assert build('DeepLabV1Head').fov_conv.dilation == build('DeepLabV1Head').conv_seg.dilation == (12, 12)


def test_v1_starts_xavier_uniform_with_torch_s_biases():
    head = build('DeepLabV1Head', in_channels=64, channels=32)
    biases = [head.fov_conv.bias.clone(), head.conv_seg.bias.clone()]
    head.init_weights()
    for conv, bias in zip((head.fov_conv, head.conv_seg), biases):
        limit = math.sqrt(6 / (9 * (conv.in_channels + conv.out_channels)))
        assert 0.97 * limit < conv.weight.abs().max() <= limit
        assert conv.weight.std().item() == pytest.approx(limit / math.sqrt(3), rel=0.05)
        assert torch.equal(conv.bias, bias)
        assert bias.abs().min() > 0


def test_normed_head_drops_single_values_before_its_classifier():
    norm = dict(type='BN', momentum=3e-4, requires_grad=False)
    head = build('NormedLargeFOVHead', channels=5, dilation=2, norm_cfg=norm, align_corners=True)
    assert {name: shape for name, shape in shapes(head).items() if '.bn.' not in name} == {
        'convs.0.conv.weight': (5, 6, 3, 3), 'convs.1.conv.weight': (5, 5, 1, 1), 'conv_seg.weight': (3, 5, 1, 1),
        'conv_seg.bias': (3, )}
    seen = {}
    head.dropout.register_forward_hook(lambda module, args, out: seen.update(before=args[0], after=out))
    head.train()
    head([features()])
    dropped = (seen['after'] == 0) & (seen['before'] > 0)
    share = dropped.sum() / (seen['before'] > 0).sum()
    assert 0.3 < share < 0.7
    assert not dropped.flatten(2).all(dim=2).any(), 'no whole channel'
    head.eval()
    x = features()
    for index, padding in ((0, 2), (1, 0)):
        conv, bn = head.convs[index].conv, head.convs[index].bn
        assert bn.momentum == 3e-4
        assert not bn.weight.requires_grad
        x = F.conv2d(x, conv.weight, padding=padding, dilation=max(padding, 1))
        x = F.batch_norm(x, bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=bn.eps).relu()
    torch.testing.assert_close(head([features()]), F.conv2d(x, head.conv_seg.weight, head.conv_seg.bias))


def test_normed_head_starts_kaiming_by_outputs():
    head = build('NormedLargeFOVHead', in_channels=16, channels=256, norm_cfg=dict(type='BN'))
    bias = head.conv_seg.bias.clone()
    head.init_weights()
    for conv, fan_out in ((head.convs[0].conv, 9 * 256), (head.convs[1].conv, 256), (head.conv_seg, 3)):
        assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / fan_out), rel=0.08)
    assert torch.equal(head.conv_seg.bias, bias), "PyTorch's"
    assert 0 < bias.abs().max() <= 1 / math.sqrt(256)


def test_v2_is_a_sum_of_four_classifiers():
    head = build('DeepLabV2Head')
    assert shapes(head) == {f'branches.{i}.{name}': shape for i in range(4)
                            for name, shape in (('weight', (3, 6, 3, 3)), ('bias', (3, )))}
    expected = sum(F.conv2d(features(), branch.weight, branch.bias, padding=dilation, dilation=dilation)
                   for branch, dilation in zip(head.branches, (6, 12, 18, 24)))
    torch.testing.assert_close(head([features()]), expected)
    head.init_weights()
    weights = torch.cat([branch.weight.flatten() for branch in head.branches])
    assert weights.std().item() == pytest.approx(0.01, rel=0.1)
    assert all((branch.bias == 0).all() for branch in head.branches)
