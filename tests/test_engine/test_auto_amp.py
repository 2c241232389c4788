"""The optimizer wrapper that is mixed precision where that runs."""

import pytest
import torch
from mmengine.optim import AmpOptimWrapper, OptimWrapper, build_optim_wrapper
from torch import nn

from mmwsss.engine.optimizers import auto_amp

CFG = dict(type='AutoAmpOptimWrapper', dtype='float16', loss_scale='dynamic',
           optimizer=dict(type='AdamW', lr=0.1, weight_decay=0.05))


def build(monkeypatch, device, model=None):
    monkeypatch.setattr(auto_amp, 'get_device', lambda: device)
    return build_optim_wrapper(model or nn.Linear(2, 1), dict(CFG))


@pytest.fixture
def accelerator(monkeypatch):
    """Let mmengine believe in a GPU; a disabled scaler runs without one."""
    if not hasattr(torch.amp, 'GradScaler'):
        pytest.skip('this torch scales gradients on CUDA devices only')
    module = 'mmengine.optim.optimizer.amp_optimizer_wrapper'
    monkeypatch.setattr(f'{module}.is_cuda_available', lambda: True)
    monkeypatch.setattr(f'{module}.GradScaler', lambda **kwargs: torch.amp.GradScaler('cpu', **kwargs))


def test_plain_on_a_cpu(monkeypatch):
    model = nn.Linear(2, 1)
    wrapper = build(monkeypatch, 'cpu', model)
    assert type(wrapper) is OptimWrapper
    assert wrapper.optimizer.defaults['lr'] == 0.1
    with wrapper.optim_context(model):
        assert model(torch.ones(1, 2)).dtype == torch.float32


def test_mixed_on_an_accelerator(monkeypatch, accelerator):
    wrapper = build(monkeypatch, 'cuda')
    assert type(wrapper) is AmpOptimWrapper
    assert wrapper.cast_dtype is torch.float16
    assert wrapper.loss_scaler.is_enabled()


def test_state_goes_from_one_to_the_other(monkeypatch, accelerator):
    torch.manual_seed(0)
    model = nn.Linear(2, 1)
    mixed, plain = build(monkeypatch, 'cuda', model), build(monkeypatch, 'cpu', model)
    mixed.update_params(model(torch.ones(1, 2)).sum())
    plain.load_state_dict(mixed.state_dict())
    for param in model.parameters():
        expected = mixed.optimizer.state[param]['exp_avg']
        assert expected.abs().sum() > 0
        torch.testing.assert_close(plain.optimizer.state[param]['exp_avg'], expected)
    other = build(monkeypatch, 'cuda', model)
    other.load_state_dict(plain.state_dict())
    assert other.optimizer.state[model.bias]['step'] == 1


def test_the_choice_is_logged(monkeypatch, caplog):
    from mmengine.logging import MMLogger
    logger = MMLogger.get_instance('auto_amp_test', log_level='INFO')
    logger.addHandler(caplog.handler)
    build(monkeypatch, 'cpu')
    assert 'no mixed precision on the cpu' in caplog.text
