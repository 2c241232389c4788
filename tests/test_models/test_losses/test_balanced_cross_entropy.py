import pytest
import torch

from mmwsss.models import BalancedCrossEntropyLoss

LOGITS = torch.tensor([[2., 0, 1, -1], [0, 1, 1, 0], [-1, 3, 0, .5]]).reshape(1, 3, 1, 4)


@pytest.mark.parametrize(('target', 'expected'), [([0, 2, 1, 255], 0.3428832), ([0, 2, 2, 255], 0.5928832)])
def test_halves_weigh_the_same(target, expected):
    loss = BalancedCrossEntropyLoss()(LOGITS, torch.tensor(target).reshape(1, 1, 4))
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_an_empty_half_is_zero():
    loss = BalancedCrossEntropyLoss()(LOGITS, torch.zeros(1, 1, 4, dtype=torch.long))
    expected = 0.5 * torch.nn.functional.cross_entropy(LOGITS, torch.zeros(1, 1, 4, dtype=torch.long))
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)


def test_nothing_valid_is_zero_and_connected():
    logits = LOGITS.clone().requires_grad_()
    loss = BalancedCrossEntropyLoss()(logits, torch.full((1, 1, 4), 255))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.eq(0).all()


def test_pixel_weights_and_factor():
    target = torch.tensor([0, 2, 1, 255]).reshape(1, 1, 4)
    plain = BalancedCrossEntropyLoss()(LOGITS, target)
    weighted = BalancedCrossEntropyLoss(loss_weight=3.0)(LOGITS, target, weight=torch.full((1, 1, 4), 0.5))
    torch.testing.assert_close(weighted, 1.5 * plain)


def test_groups_count_their_own_pixels():
    logits = torch.cat([LOGITS, LOGITS.flip(1)])
    target = torch.tensor([[0, 0, 0, 1], [0, 255, 2, 1]])[:, None]
    parts = [BalancedCrossEntropyLoss()(logits[i:i + 1], target[i:i + 1]) for i in range(2)]
    grouped = BalancedCrossEntropyLoss(group_size=1)(logits, target)
    torch.testing.assert_close(grouped, (parts[0] + parts[1]) / 2)
    assert (grouped - BalancedCrossEntropyLoss()(logits, target)).abs() > 1e-3
