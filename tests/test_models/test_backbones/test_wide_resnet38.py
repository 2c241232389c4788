import pytest
import torch
from torch.nn import functional as F

from mmwsss.models import WideResNet38
from mmwsss.registry import MODELS


def build(**kwargs):
    """A narrow network in which every weight and statistic matters, in double precision."""
    torch.manual_seed(0)
    model = WideResNet38(**{'base_channels': 2, **kwargs}).double()
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            torch.nn.init.uniform_(tensor, *((0.5, 1.5) if name.endswith('running_var') else (-0.4, 0.4)))
    return model


def images(height=16, width=24):
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(1), dtype=torch.double)


def norm_relu(state, name, x):
    mean, var, weight, bias = (state[f'{name}.{key}'] for key in ('running_mean', 'running_var', 'weight', 'bias'))
    column = (slice(None), None, None)
    return ((x - mean[column]) / (var[column] + 1e-5).sqrt() * weight[column] + bias[column]).clamp(min=0)


def naive(state, x):
    """The whole network from its state dict, in evaluation mode, unit by unit as the table of the paper lists them."""
    def conv(name, x, dilation=1, stride=1):
        weight = state[f'{name}.weight']
        padding = dilation if weight.shape[-1] == 3 else 0
        return F.conv2d(x, weight, stride=stride, padding=padding, dilation=dilation)

    x = conv('conv1a', x)
    taps = []
    for stage, units, stride in (('b2', 3, 2), ('b3', 3, 2), ('b4', 6, 2), ('b5', 3, 1)):
        for index in range(units):
            unit, step = (f'{stage}_{index}', 1) if index else (stage, stride)
            first, second = {'b5': (2 if index else 1, 2)}.get(stage, (1, 1))
            a = norm_relu(state, f'{unit}.bn_branch2a', x)
            if unit == 'b5':
                taps.append(a)
            y = norm_relu(state, f'{unit}.bn_branch2b1', conv(f'{unit}.conv_branch2a', a, first, step))
            x = conv(f'{unit}.conv_branch2b1', y, second) + (x if index else conv(f'{unit}.conv_branch1', a, 1, step))
    for unit in ('b6', 'b7'):
        a = norm_relu(state, f'{unit}.bn_branch2a', x)
        if unit == 'b6':
            taps.append(a)
        y = norm_relu(state, f'{unit}.bn_branch2b1', conv(f'{unit}.conv_branch2a', a))
        y = norm_relu(state, f'{unit}.bn_branch2b2', conv(f'{unit}.conv_branch2b1', y, 4))
        x = conv(f'{unit}.conv_branch1', a) + conv(f'{unit}.conv_branch2b2', y)
    return (*taps, norm_relu(state, 'bn7', x))


def test_published_size_and_names():
    with torch.device('meta'):
        model = WideResNet38()
    assert sum(p.numel() for p in model.parameters()) == 105_070_912
    state = model.state_dict()
    assert len(state) == 228
    assert model.out_channels == (512, 1024, 4096)
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    assert shapes['conv1a.weight'] == (64, 3, 3, 3)
    assert shapes['b2.conv_branch1.weight'] == (128, 64, 1, 1)
    assert shapes['b4_5.conv_branch2b1.weight'] == (512, 512, 3, 3)
    assert shapes['b5_1.conv_branch2a.weight'] == (512, 1024, 3, 3)
    assert shapes['b7.conv_branch2a.weight'] == (1024, 2048, 1, 1)
    assert shapes['b7.conv_branch2b1.weight'] == (2048, 1024, 3, 3)
    assert shapes['b7.conv_branch2b2.weight'] == (4096, 2048, 1, 1)
    assert shapes['b7.bn_branch2b2.running_var'] == (2048, )
    assert {name.split('.')[0] for name in shapes if 'conv_branch1.' in name} == {'b2', 'b3', 'b4', 'b5', 'b6', 'b7'}
    assert not any(name.endswith('conv.bias') for name in shapes)


@pytest.mark.parametrize(('size', 'grid'), [((64, 72), (8, 9)), ((65, 64), (9, 8)), ((7, 1), (1, 1))])
def test_outputs_have_stride_8(size, grid):
    model = WideResNet38(base_channels=2).eval()
    shapes = [tuple(out.shape) for out in model(torch.randn(1, 3, *size))]
    assert shapes == [(1, channels, *grid) for channels in (16, 32, 128)] == [(1, c, *grid) for c in model.out_channels]


def test_equals_the_naive_network():
    model = build().eval()
    for got, expected in zip(model(images()), naive(model.state_dict(), images()), strict=True):
        assert expected.std() > 1e-3
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize('name', ['b2', 'b4_5', 'b5', 'b5_1', 'b6', 'b7'])
def test_dilations(name):
    unit = getattr(WideResNet38(base_channels=1), name)
    convs = [module for module in unit.modules() if getattr(module, 'kernel_size', 0) == (3, 3)]
    found = [(conv.dilation[0], conv.padding[0]) for conv in convs]
    expected = {'b5': [1, 2], 'b5_1': [2, 2], 'b6': [4], 'b7': [4]}.get(name, [1, 1])
    assert found == [(dilation, dilation) for dilation in expected]


def test_dropout_acts_on_whole_channels_of_the_last_two_units_in_training():
    model = build(drop_rates=(0.3, 0.5)).train()
    drops = {name: module for name, module in model.named_modules() if isinstance(module, torch.nn.Dropout2d)}
    assert {name: module.p for name, module in drops.items()} == {'b6.dropout': 0.3, 'b7.dropout': 0.5}
    calls = []
    for module in drops.values():
        module.register_forward_hook(lambda module, args, out: calls.append((module.p, args[0], out)))
    conv4, conv5, conv6 = model(images())
    assert [p for p, _, _ in calls] == [0.3, 0.3, 0.5, 0.5]  # after both inner activations
    for p, before, after in calls:
        dropped = (after == 0).flatten(2).all(dim=2)
        assert dropped.any()
        torch.testing.assert_close(after, before / (1 - p) * ~dropped[..., None, None])
    for got, expected in zip((conv4, conv5), naive(model.state_dict(), images())):
        torch.testing.assert_close(got, expected)
    assert not torch.equal(conv6, naive(model.state_dict(), images())[2])
    still = build(drop_rates=(0, 0)).train()
    torch.testing.assert_close(still(images())[2], naive(still.state_dict(), images())[2])


FIRST = ('conv1a.', )
EARLY = ('conv1a.', 'b2.', 'b2_1.', 'b2_2.')


@pytest.mark.parametrize(('frozen_stages', 'frozen'), [(0, ()), (1, FIRST), (2, EARLY)])
@pytest.mark.parametrize('affine', [False, True])
def test_gradients_reach_what_is_not_frozen(frozen_stages, frozen, affine):
    norm = dict(type='BN', requires_grad=affine)
    model = build(frozen_stages=frozen_stages, norm_cfg=norm, drop_rates=(0, 0)).train()
    sum(out.square().sum() for out in model(images())).backward()
    names = [name for name, _ in model.named_parameters() if not name.startswith(frozen)]
    expected = {name for name in names if affine or 'conv' in name}
    assert {name for name, p in model.named_parameters() if p.grad is not None} == expected
    assert all(p.grad.abs().sum() > 0 for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize('frozen_stages', [0, 1, 2])
@pytest.mark.parametrize('norm_eval', [True, False])
def test_statistics_move_only_where_they_should(frozen_stages, norm_eval):
    norm = dict(type='BN', requires_grad=False, momentum=0.25)
    model = build(frozen_stages=frozen_stages, norm_eval=norm_eval, norm_cfg=norm).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    seen = {}
    model.b3.bn_branch2a.register_forward_hook(lambda module, args, out: seen.update(x=args[0]))
    model(images())
    after = model.state_dict()
    moved = {name.rsplit('.', 1)[0] for name in after if not torch.equal(after[name], before[name])}
    norms = {name for name, module in model.named_modules() if isinstance(module, torch.nn.BatchNorm2d)}
    assert len(norms) == 37
    kept = EARLY if frozen_stages == 2 else FIRST
    assert moved == (set() if norm_eval else {name for name in norms if not name.startswith(kept)})
    if not norm_eval:
        expected = 0.75 * before['b3.bn_branch2a.running_mean'] + 0.25 * seen['x'].mean(dim=(0, 2, 3))
        torch.testing.assert_close(model.b3.bn_branch2a.running_mean, expected)
    modes = {module.training for name, module in model.named_modules() if name in norms and not name.startswith(kept)}
    assert modes == {not norm_eval}
    model.eval()
    assert not any(module.training for module in model.modules())


def test_is_in_the_registry():
    assert isinstance(MODELS.build(dict(type='WideResNet38', base_channels=1)), WideResNet38)


@pytest.mark.parametrize(('kwargs', 'message'), [
    (dict(base_channels=0), 'base_channels must be 1 or more, got 0'),
    (dict(drop_rates=(0.3, )), r'drop_rates must be two numbers in \[0, 1\), got \(0.3,\)'),
    (dict(drop_rates=(0.3, 1)), r'drop_rates .*got \(0.3, 1\)'),
    (dict(frozen_stages=3), r'frozen_stages must be one of \(0, 1, 2\), got 3'),
])
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        WideResNet38(**kwargs)
