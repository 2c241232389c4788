"""Optimizers of the pretraining: Muon beside AdamW, bfloat16 on CPUs."""

import pytest
import torch
from torch import nn

from projects.sample_backbones import optimizers
from projects.sample_backbones.optimizers import CPUBFloat16OptimWrapper, MuonAdamW, orthogonalize


@pytest.mark.parametrize('shape', [(16, 48), (48, 16), (32, 32)])
def test_orthogonalize_keeps_directions_and_evens_out_singular_values(shape):
    torch.manual_seed(0)
    left, _, right = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    values = torch.linspace(1, 3, min(shape))
    result = orthogonalize(1e-3 * (left * values) @ right).float()
    found = torch.linalg.svdvals(result)
    assert 0.6 < found.min() <= found.max() < 1.3
    # the same singular vectors: what remains in their basis is diagonal
    rest = left.T @ result @ right.T
    assert (rest - torch.diag(rest.diagonal())).abs().max() < 0.05
    assert (rest.diagonal() > 0).all()


def test_small_parameters_follow_adamw_exactly():
    torch.manual_seed(0)
    start = torch.randn(5, 7)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    settings = dict(lr=1e-2, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.1)
    first, second = MuonAdamW([ours], **settings), torch.optim.AdamW([theirs], **settings)
    for _ in range(5):
        grad = torch.randn(5, 7)
        ours.grad, theirs.grad = grad.clone(), grad.clone()
        first.step()
        second.step()
    torch.testing.assert_close(ours, theirs)


@pytest.mark.skipif(not hasattr(torch.optim, 'Muon'), reason='this torch has no Muon to compare with')
def test_large_matrices_follow_muon():
    torch.manual_seed(0)
    start = torch.randn(8, 12)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    first = MuonAdamW([ours], lr=1e-2, momentum=0.95, weight_decay=0.1, min_dim=8)
    second = torch.optim.Muon([theirs], lr=1e-2, momentum=0.95, weight_decay=0.1, adjust_lr_fn='match_rms_adamw')
    for _ in range(4):
        grad = torch.randn(8, 12)
        ours.grad, theirs.grad = grad.clone(), grad.clone()
        first.step()
        second.step()
    torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=0)
    assert (ours - start).abs().max() > 1.5e-2


def test_convolutions_are_matrices_where_asked():
    torch.manual_seed(0)
    start, grad = torch.randn(8, 4, 3, 3), torch.randn(8, 4, 3, 3)
    conv, matrix = nn.Parameter(start.clone()), nn.Parameter(start.flatten(1).clone())
    plain = nn.Parameter(start.clone())
    conv.grad, matrix.grad, plain.grad = grad.clone(), grad.flatten(1), grad.clone()
    MuonAdamW([conv], min_dim=8, convolutions=True).step()
    MuonAdamW([matrix], min_dim=8).step()
    MuonAdamW([plain], min_dim=8).step()
    torch.testing.assert_close(conv.flatten(1), matrix)
    assert (conv - plain).abs().max() > 1e-4


def test_state_survives_saving():
    param = nn.Parameter(torch.ones(4, 4))
    optimizer = MuonAdamW([param], lr=0.1, min_dim=4)
    param.grad = torch.eye(4)
    optimizer.step()
    other = MuonAdamW([param], lr=0.1, min_dim=4)
    other.load_state_dict(optimizer.state_dict())
    torch.testing.assert_close(other.state[param]['momentum'], 0.05 * torch.eye(4))


def test_negative_lr_is_refused():
    with pytest.raises(ValueError, match='-1'):
        MuonAdamW([nn.Parameter(torch.zeros(2))], lr=-1)


@pytest.mark.parametrize('newer', [True, False], ids=['torch.nn.attention', 'torch 2.1'])
def test_forward_runs_in_bfloat16_and_weights_stay_float32(monkeypatch, newer):
    if not newer:
        monkeypatch.setattr(optimizers, 'sdpa_kernel', None)
    model = nn.Linear(4, 4)
    wrapper = CPUBFloat16OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    before = model.weight.detach().clone()
    with wrapper.optim_context(model):
        output = model(torch.ones(2, 4))
    assert output.dtype == torch.bfloat16
    assert model(torch.ones(2, 4)).dtype == torch.float32
    wrapper.update_params(output.float().sum())
    assert model.weight.dtype == torch.float32
    torch.testing.assert_close(model.weight, before - 0.2)
