import pytest
import torch
from torch import nn

from mmwsss.models import EfficientNetLite, extract_features


@pytest.mark.parametrize(('stride', 'grid'), [(32, (3, 4)), (16, (6, 8))])
def test_the_output_stride_keeps_the_weights(stride, grid):
    torch.manual_seed(0)
    model = EfficientNetLite(output_stride=stride)
    model.load_state_dict(EfficientNetLite().state_dict())
    model.eval()
    features = extract_features(model, torch.rand(1, 3, 96, 128))
    assert features.maps[-1].shape == (1, 1280, *grid)


def test_there_is_no_squeeze_and_no_swish():
    modules = list(EfficientNetLite().modules())
    assert not any(type(module).__name__ in ('SELayer', 'Swish', 'SiLU') for module in modules)
    assert sum(isinstance(module, nn.ReLU6) for module in modules) == 33


def test_other_strides_are_refused():
    with pytest.raises(ValueError, match='output_stride must be 16 or 32, got 8'):
        EfficientNetLite(output_stride=8)
