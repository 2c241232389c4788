import pytest
import torch

from mmwsss.utils.memory import peak_memory


def test_temporaries_count_while_they_live():
    with peak_memory() as peak:
        assert peak.bytes is None
        a = torch.ones(2**18)
        b = a * 2 + 1  # a, the product and the sum at one time
        del a
        b.add_(b * 3)
        del b
        torch.ones(2**18)
    assert peak.bytes == pytest.approx(3 * 2**20, abs=64), 'scalars are tensors too'
    assert peak.mib == pytest.approx(3, abs=1e-3)


def test_what_was_there_before_does_not_count():
    before = torch.ones(2**18)
    with peak_memory() as peak:
        kept = before[::2] + 1
        del before
    assert peak.bytes == pytest.approx(kept.numel() * 4, abs=64)


def test_backward_and_inner_temporaries():
    x = torch.ones(2**16, requires_grad=True)
    with peak_memory() as peak:
        x.exp().sin().sum().backward()
    assert peak.bytes >= 3 * 2**18, 'two saved results and a gradient'
    y = torch.rand(64, 2**12)
    with peak_memory() as peak:
        y.std(0)
        torch.sort(y[0])
    assert 0 < peak.bytes < y.numel() * 4


def test_other_devices_are_refused():
    with pytest.raises(ValueError, match="'meta'"), peak_memory('meta'):
        pass
