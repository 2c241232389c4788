import pytest
import torch

from mmwsss.models.utils import lower_precision, uses_lower_precision


@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
def test_products_are_lower_and_sums_are_not(dtype):
    ones = torch.ones(2, 2)
    with lower_precision('cpu', dtype):
        assert uses_lower_precision('cpu')
        assert (ones @ ones).dtype == getattr(torch, dtype)
        assert (ones + ones).dtype == ones.sum().dtype == torch.float32
    assert not uses_lower_precision(torch.device('cpu'))


def test_none_changes_nothing():
    with lower_precision(torch.device('cpu'), None):
        assert not uses_lower_precision('cpu')


def test_mixed_precision_that_is_on_stays_as_it_is():
    weight = torch.ones(2, 2, requires_grad=True)
    with torch.autocast('cpu', torch.bfloat16):
        assert (weight @ weight).requires_grad
        with torch.no_grad(), lower_precision('cpu', 'float16'):
            assert (weight @ weight).dtype == torch.bfloat16
        assert (weight @ weight).requires_grad
