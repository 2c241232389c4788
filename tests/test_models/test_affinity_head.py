"""The feature head of AffinityNet."""

import pytest
import torch
from torch.nn import functional as F

from mmwsss.models import AffinityHead


def test_features_are_those_of_the_formula():
    torch.manual_seed(0)
    head = AffinityHead(in_channels=(3, 4, 6), channels=(2, 3, 4))
    inputs = [torch.randn(2, channels, 4, 5) for channels in (3, 4, 6)]

    def layer(name, x):
        return F.elu(torch.einsum('oi,bihw->bohw', head.get_parameter(f'{name}.weight')[:, :, 0, 0], x))

    joined = torch.cat([layer(name, x) for name, x in zip(('f8_3', 'f8_4', 'f8_5'), inputs)], dim=1)
    torch.testing.assert_close(head(inputs), layer('f9', joined))


def test_weights_of_the_published_size():
    head = AffinityHead()
    shapes = {name: tuple(value.shape) for name, value in head.state_dict().items()}
    assert shapes == {'f8_3.weight': (64, 512, 1, 1), 'f8_4.weight': (128, 1024, 1, 1),
                      'f8_5.weight': (256, 4096, 1, 1), 'f9.weight': (448, 448, 1, 1)}
    torch.manual_seed(0)
    head.init_weights()
    # sqrt(2 / fan in), and a uniform distribution within 4 * sqrt(6 / (448 + 448)).
    for layer, channels in ((head.f8_3, 512), (head.f8_4, 1024), (head.f8_5, 4096)):
        assert float(layer.weight.detach().std()) == pytest.approx((2 / channels)**.5, rel=0.03)
    limit = 4 * (6 / 896)**.5
    assert 0.99 * limit < float(head.f9.weight.detach().abs().max()) <= limit


def test_three_maps_are_needed():
    with pytest.raises(ValueError, match=r'three numbers each, got \(3, 4\)'):
        AffinityHead(in_channels=(3, 4))
