"""Gradient clipping: the worked example, an independent reference, and use in mmseg's heads."""

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from torch.nn import functional as F

from mmwsss.models import GradientClippedCrossEntropyLoss
from mmwsss.models.losses.gradient_clipping import clipping_thresholds
from mmwsss.registry import MODELS

from ...helpers import tiny_segmentor

COSTS = torch.tensor([[[.1, .2, .4, .4], [.3, .2, 3, .2], [0, 0, 1, 1], [0, 0, 1, 1]],
                      [[.1, .2, .4, .4], [.1, 2, .2, .2], [.5, .5, 1, 3], [.5, .5, 1, 1]]])


def logits_of(costs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Give two-class logits and labels that cost this much; a cost of 0 is an ignored pixel."""
    ignored = costs == 0
    odds = -torch.log(torch.expm1(costs.double()))  # softplus(-odds) = cost
    odds = odds.masked_fill(ignored, 0)
    return torch.stack([odds, torch.zeros_like(odds)], 1), torch.where(ignored, 255, 0)


def cost_gradient(logits: torch.Tensor, costs: torch.Tensor) -> torch.Tensor:
    """Divide the gradient of the loss by that of the pixel's own cost."""
    return logits.grad[:, 0] / -(1 - torch.exp(-costs.double()))


def test_worked_example():
    logits, labels = logits_of(COSTS)
    logits.requires_grad_()
    loss = GradientClippedCrossEntropyLoss(patch_size=2, start_value=1.2)
    value = loss(logits, labels)
    assert value.item() == pytest.approx(.466797, abs=1e-6)
    value.backward()
    expected = torch.full((2, 4, 4), 1 / 32.)
    expected[0, 1, 2] = expected[1, 1, 1] = expected[1, 2, 3] = 0
    valid = labels == 0
    torch.testing.assert_close(cost_gradient(logits, COSTS)[valid].float(), expected[valid], atol=1e-6, rtol=0)
    assert logits.grad[~valid.unsqueeze(1).expand_as(logits)].abs().max() == 0
    assert torch.equal(loss.kept, valid & (expected > 0))
    kept_mean = (COSTS * loss.kept).sum() / 32
    assert kept_mean.item() == pytest.approx(.3875, abs=1e-6)


def test_worked_example_in_groups_of_one_image():
    logits, labels = logits_of(COSTS)
    logits.requires_grad_()
    value = GradientClippedCrossEntropyLoss(patch_size=2, start_value=1.2, group_size=1)(logits, labels)
    assert value.item() == pytest.approx(.488281, abs=1e-6)
    parts = [GradientClippedCrossEntropyLoss(2, 1.2)(logits[i:i + 1], labels[i:i + 1]) for i in range(2)]
    assert value.item() == pytest.approx((parts[0].item() + parts[1].item()) / 2, abs=1e-6)
    two = GradientClippedCrossEntropyLoss(patch_size=2, start_value=1.2, group_size=2)(logits, labels)
    assert two.item() == pytest.approx(.466797, abs=1e-6)


def test_each_group_starts_to_clip_on_its_own():
    costs = torch.cat([COSTS[:1], 4 * COSTS[1:]])
    logits, labels = logits_of(costs)
    loss = GradientClippedCrossEntropyLoss(patch_size=2, start_value=1.2, group_size=1)
    loss(logits, labels)
    clipped = (labels == 0) & ~loss.kept
    assert clipped[0].any()
    assert not clipped[1].any()
    with pytest.raises(ValueError, match='group_size must be 1 or more'):
        GradientClippedCrossEntropyLoss(group_size=-1)


def test_thresholds_of_the_worked_example():
    thresholds = clipping_thresholds(COSTS, 2, 1.2)
    torch.testing.assert_close(thresholds[::2, ::2], torch.tensor([[.6375, .65], [.6375, 1.25]]))
    assert torch.equal(thresholds[0], thresholds[1])
    assert clipping_thresholds(4 * COSTS, 2, 1.2).isinf().all()
    assert clipping_thresholds(COSTS, 2, COSTS.mean().item()).isfinite().all(), 'equality clips'


def test_nothing_is_clipped_while_the_mean_is_above_the_start_value():
    logits, labels = logits_of(4 * COSTS)
    loss = GradientClippedCrossEntropyLoss(patch_size=2, start_value=1.2)
    assert loss(logits, labels).item() == pytest.approx(2.55, abs=1e-5)
    assert torch.equal(loss.kept, labels == 0)


def test_ignored_pixels_cost_nothing_and_count():
    logits = torch.tensor([[[[2., 0], [0, 1]], [[0, 1], [3, 1]]]])
    labels = torch.tensor([[[0, 1], [0, 255]]])
    costs = [.126928, .313262, 3.048587, 0]
    value = GradientClippedCrossEntropyLoss(patch_size=1, start_value=0.)(logits, labels)
    assert value.item() == pytest.approx(sum(costs) / 4, abs=1e-6)


def reference(costs: np.ndarray, size: int, start: float) -> float:
    """Go through tiles and pixels one by one."""
    overall = costs.mean()
    if overall > start:
        return overall
    clamped = costs.copy()
    for top in range(0, costs.shape[1], size):
        for left in range(0, costs.shape[2], size):
            tile = costs[:, top:top + size, left:left + size]
            threshold = max(np.mean([image.mean() for image in tile]), overall)
            clamped[:, top:top + size, left:left + size] = np.minimum(tile, threshold)
    return clamped.mean()


@pytest.mark.parametrize('size', [2, 4, 12])
@pytest.mark.parametrize('start', [.5, 10.])
def test_equals_the_loop(size, start):
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(3, 5, 12, 24, generator=generator)
    labels = torch.randint(0, 5, (3, 12, 24), generator=generator)
    labels[:, :3, :5] = 255
    costs = F.cross_entropy(logits, labels, reduction='none', ignore_index=255).double().numpy()
    found = GradientClippedCrossEntropyLoss(size, start, loss_weight=.5)(logits, labels)
    assert found.item() == pytest.approx(.5 * reference(costs, size, start), rel=1e-5)


def test_nothing_valid_is_zero_and_connected():
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    value = GradientClippedCrossEntropyLoss(2)(logits, torch.full((1, 4, 4), 255))
    value.backward()
    assert value == 0
    assert logits.grad.abs().max() == 0


def test_wrong_sizes_are_named():
    with pytest.raises(ValueError, match='6 x 8 pixels cannot be cut into tiles of 4'):
        GradientClippedCrossEntropyLoss(4)(torch.zeros(1, 2, 6, 8), torch.zeros(1, 6, 8, dtype=torch.long))
    with pytest.raises(ValueError, match='got 0'):
        GradientClippedCrossEntropyLoss(0)


def test_in_a_head_of_mmseg_with_a_sampler():
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample
    model = MODELS.build(tiny_segmentor(
        prefix='mmseg.', sampler=dict(type='mmseg.OHEMPixelSampler', thresh=.7, min_kept=10),
        loss_decode=[dict(type='mmwsss.GradientClippedCrossEntropyLoss', patch_size=8),
                     dict(type='mmseg.CrossEntropyLoss', loss_name='loss_plain')]))
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.randint(0, 3, (1, 32, 32))))
    hub = MessageHub.get_current_instance()
    hub.log_scalars.pop('train/clipped_pixels', None)
    losses = model.train()(torch.randn(2, 3, 32, 32), [sample, sample], mode='loss')
    assert losses['decode.loss_clipped_ce'].requires_grad
    assert losses['decode.loss_plain'] > 0
    assert 0 <= hub.get_scalar('train/clipped_pixels').current() <= 1
