import pytest
import torch
from mmengine.registry import build_from_cfg

from mmwsss.engine import WarmupPolyLR
from mmwsss.engine.schedulers import warmup_poly
from mmwsss.registry import PARAM_SCHEDULERS

VOC = {
    0: 6.0000e-11, 1: 4.0060e-8, 199: 7.9601e-6, 1499: 5.9960e-5, 1500: 5.59344e-5, 1599: 5.56649e-5,
    9999: 3.21561e-5, 19999: 8.0765e-9
}


@pytest.mark.parametrize(('step', 'rate'), VOC.items())
def test_published_rates(step, rate):
    assert 6e-5 * warmup_poly(step, 20000, 1500, 1e-6, 0.9) == pytest.approx(rate, rel=2e-5)


def make(groups=2, **state):
    params = [dict(params=[torch.zeros(1, requires_grad=True)], lr=lr) for lr in (6e-5, 6e-4)[:groups]]
    optimizer = torch.optim.AdamW(params)
    cfg = dict(type='WarmupPolyLR', optimizer=optimizer, total=100, warmup=10)
    return optimizer, build_from_cfg(cfg, PARAM_SCHEDULERS)


def test_steps_and_resume():
    optimizer, scheduler = make()
    assert isinstance(scheduler, WarmupPolyLR)
    rates = []
    for _ in range(100):
        rates.append([group['lr'] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
        if len(rates) == 37:
            state = scheduler.state_dict()
    for step in (0, 5, 10, 50, 99):
        factor = warmup_poly(step, 100, 10, 1e-6, 0.9)
        assert rates[step] == pytest.approx([6e-5 * factor, 6e-4 * factor])
    optimizer, scheduler = make()
    scheduler.load_state_dict(state)
    optimizer.step()
    scheduler.step()
    assert [group['lr'] for group in optimizer.param_groups] == pytest.approx(rates[38])


def test_decay_in_every_tenth_step():
    """The warm-up is not held, and a resumed run continues on the same stair."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.)
    scheduler = WarmupPolyLR(optimizer, total=100, warmup=5, interval=10)
    rates = []
    for _ in range(60):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        scheduler.step()
        if len(rates) == 37:
            state = scheduler.state_dict()
    assert rates[:5] == pytest.approx([warmup_poly(step, 100, 5, 1e-6, .9) for step in range(5)])
    assert rates[5:] == pytest.approx([(1 - max(step // 10 * 10, 5) / 100)**.9 for step in range(5, 60)])
    scheduler.load_state_dict(state)
    assert optimizer.param_groups[0]['lr'] == pytest.approx(.7**.9)
    with pytest.raises(ValueError, match='interval must be 1 or more, got 0'):
        WarmupPolyLR(torch.optim.SGD([torch.zeros(1)], lr=1.), total=10, interval=0)


def test_bad_lengths():
    with pytest.raises(ValueError, match='total'):
        WarmupPolyLR(torch.optim.SGD([torch.zeros(1)], lr=1.), total=0)


@pytest.mark.parametrize(('total', 'rates'), [
    (10, [1e-4, 9.1858e-5, 8.3625e-5, 7.5288e-5, 6.6830e-5, 5.8230e-5, 4.9454e-5, 4.0455e-5, 3.1143e-5, 2.1330e-5,
          1e-5]),
    (264600, {100000: 6.870816e-5})])
def test_floor_of_weaktr_s_retraining(total, rates):
    for step, rate in (rates.items() if isinstance(rates, dict) else enumerate(rates)):
        assert 1e-4 * warmup_poly(step, total, 0, 0., 0.9, min_ratio=0.1) == pytest.approx(rate, rel=2e-5)


def test_the_floor_is_a_ratio_of_every_group_and_the_length_may_be_the_runner_s():
    optimizer, _ = make()
    scheduler = WarmupPolyLR(optimizer, warmup=0, min_ratio=0.1, end=4)
    for _ in range(4):
        optimizer.step()
        scheduler.step()
    assert [group['lr'] for group in optimizer.param_groups][0] < 6e-5
    assert warmup_poly(4, 4, 0, 0., 0.9, 0.1) == pytest.approx(0.1)
    rates = [group['lr'] for group in optimizer.param_groups]
    assert rates[1] / rates[0] == pytest.approx(10)
    with pytest.raises(ValueError, match='or else end'):
        WarmupPolyLR(optimizer)
