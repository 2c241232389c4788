import pytest
import torch
from mmseg.models import ResNet
from torch.nn import functional as F

from mmwsss.models import CeilPoolResNet

SETTINGS = dict(depth=50, base_channels=2, stem_channels=2, strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4), style='caffe')


@pytest.mark.parametrize(('side', 'grid'), [(321, 41), (513, 65), (65, 9), (72, 10), (112, 15)])
def test_sizes_are_rounded_up(side, grid):
    model = CeilPoolResNet(**SETTINGS)
    model.eval()
    out = model(torch.randn(1, 3, side, 9))[-1]
    assert out.shape == (1, 64, grid, 2)


def test_pooling_is_all_that_differs():
    torch.manual_seed(0)
    ours, theirs = CeilPoolResNet(**SETTINGS), ResNet(**SETTINGS)
    theirs.load_state_dict(ours.state_dict())
    ours.eval()
    theirs.eval()
    x = torch.randn(1, 3, 72, 40)
    stem = theirs.relu(theirs.norm1(theirs.conv1(x)))
    # The windows of 3 by 3 that start at -1, 1, 3, ... until all pixels are covered.
    expected = F.max_pool2d(F.pad(stem, (1, 1, 1, 1), value=-torch.inf), 3, 2, ceil_mode=True)
    for name in theirs.res_layers:
        expected = getattr(theirs, name)(expected)
    torch.testing.assert_close(ours(x)[-1], expected)
    odd = torch.randn(1, 3, 65, 65)
    torch.testing.assert_close(ours(odd), theirs(odd))
    assert ours.layer2[0].conv1.stride == (2, 2), 'the stride is in the first convolution'
