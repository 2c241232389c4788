import math

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import build_from_cfg
from torch import nn

from mmwsss.engine import LaggedCosineLR
from mmwsss.engine.schedulers import lagged_cosine
from mmwsss.registry import PARAM_SCHEDULERS

BASE = 5e-4 * 64 / 512
PUBLISHED = {
    0: 1e-6, 1: 1e-6, 2: 1.33e-5, 3: 2.56e-5, 4: 3.79e-5, 5: 5.02e-5, 6: 6.160555e-5, 7: 6.121523e-5,
    10: 5.963892e-5, 20: 5.054677e-5, 31: 3.625e-5, 40: 2.433275e-5, 50: 1.42349e-5, 59: 1.01438e-5
}


@pytest.mark.parametrize(('epoch', 'rate'), PUBLISHED.items())
def test_published_rates(epoch, rate):
    assert lagged_cosine(epoch, BASE, 60) == pytest.approx(rate, rel=1e-6)


def test_without_lag_and_warm_up_it_is_torchs_cosine():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20, eta_min=0.01)
    for step in range(20):
        assert lagged_cosine(step, 0.1, 20, warmup=0, min_lr=0.01, lag=0) == pytest.approx(cosine.get_last_lr()[0])
        optimizer.step()
        cosine.step()


def test_rates_never_exceed_their_base():
    assert [lagged_cosine(epoch, 0., 60) for epoch in (0, 3, 30, 90)] == [0., 0., 0., 0.]
    assert {lagged_cosine(epoch, 5e-7, 60) for epoch in (0, 3, 30, 90)} == {5e-7}
    assert lagged_cosine(90, BASE, 60) == lagged_cosine(61, BASE, 60) == 1e-5


def make(**options):
    """Give a wrapped optimizer of three groups, at 1, 10 and 0 times the published rate, and its schedule."""
    groups = [dict(params=[nn.Parameter(torch.zeros(1))], lr=BASE * mult) for mult in (1, 10, 0)]
    wrapper = OptimWrapper(torch.optim.AdamW(groups))
    return wrapper, build_from_cfg(dict(type='LaggedCosineLR', optimizer=wrapper, **options), PARAM_SCHEDULERS)


def rates_of(wrapper, scheduler, epochs, iters=2):
    """Train without gradients; give the groups' rates in each epoch."""
    rates = []
    for _ in range(epochs):
        rates.append([group['lr'] for group in wrapper.optimizer.param_groups])
        for _ in range(iters):
            wrapper.step()
        scheduler.step()
    return rates


def test_steps_of_real_optimizers_and_resume():
    wrapper, scheduler = make(end=60)
    assert isinstance(scheduler, LaggedCosineLR)
    assert scheduler.by_epoch
    rates = rates_of(wrapper, scheduler, 60)
    for epoch, rate in PUBLISHED.items():
        ten = lagged_cosine(epoch, 10 * BASE, 60)
        assert rates[epoch] == pytest.approx([rate, ten, 0], rel=1e-6), epoch
    assert rates[31][1] == pytest.approx(1e-5 + 0.5 * (6.25e-4 - 1e-5) * (1 + math.cos(math.pi / 2)))

    begun, begun_scheduler = make(total=60)
    assert rates_of(begun, begun_scheduler, 23) == rates[:23]
    resumed, resumed_scheduler = make(total=60)
    resumed.load_state_dict(begun.state_dict())
    resumed_scheduler.load_state_dict(begun_scheduler.state_dict())
    assert rates_of(resumed, resumed_scheduler, 37) == rates[23:]


@pytest.mark.parametrize('options', [dict(), dict(total=0), dict(total=60, lag=-1), dict(total=60, warmup=-1)])
def test_lengths_are_checked(options):
    with pytest.raises(ValueError, match=r'total=|lag=-1|warmup=-1'):
        make(**options)
