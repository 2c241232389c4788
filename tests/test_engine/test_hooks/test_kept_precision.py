from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmwsss.engine import KeptPrecisionHook
from mmwsss.models import GradientClippedCrossEntropyLoss


def sample(labels: list, truth: list = None) -> SegDataSample:
    made = SegDataSample(gt_sem_seg=PixelData(data=torch.tensor([labels])))
    if truth is not None:
        made.true_sem_seg = PixelData(data=torch.tensor([truth]))
    return made


def run(hook: KeptPrecisionHook, kept: torch.Tensor, samples: list, iters: int = 1) -> MessageHub:
    loss = GradientClippedCrossEntropyLoss(2)
    loss.kept = kept
    hub = MessageHub('kept precision')
    hub.log_scalars.clear()
    runner = SimpleNamespace(model=torch.nn.Sequential(loss), message_hub=hub, iter=0)
    hook.before_train(runner)
    for runner.iter in range(iters):
        hook.after_train_iter(runner, runner.iter, dict(data_samples=samples))
    return hub


def test_precision_is_a_mean_over_classes():
    labels, truth = [[0, 0, 1, 1], [0, 255, 1, 2]], [[0, 1, 1, 1], [0, 0, 255, 2]]
    kept = torch.ones(1, 2, 4, dtype=torch.bool)
    kept[0, 0, 1] = False
    hub = run(KeptPrecisionHook(interval=2), kept, [sample(labels, truth)], iters=2)
    assert hub.get_scalar('train/precision_all').current() == pytest.approx(100 * (2 / 3 + 1 + 1) / 3)
    assert hub.get_scalar('train/precision_kept').current() == pytest.approx(100)


def test_crops_smaller_than_the_batch_are_padded_at_the_right_and_bottom():
    kept = torch.zeros(2, 3, 3, dtype=torch.bool)
    kept[0, 0, 0] = kept[1, 1, 1] = True
    samples = [sample([[1, 2]], [[1, 1]]), sample([[0, 0], [0, 2]], [[0, 0], [0, 0]])]
    hub = run(KeptPrecisionHook(interval=1), kept, samples)
    assert hub.get_scalar('train/precision_kept').current() == pytest.approx(50)
    assert hub.get_scalar('train/precision_all').current() == pytest.approx(100 * (1 + 1 + 0) / 3)


def test_without_truth_or_loss_nothing_is_logged():
    hub = run(KeptPrecisionHook(interval=1), torch.ones(1, 1, 2, dtype=torch.bool), [sample([[0, 1]])])
    assert not hub.log_scalars
    runner = SimpleNamespace(model=torch.nn.Linear(1, 1), message_hub=hub, iter=0)
    hook = KeptPrecisionHook()
    hook.before_train(runner)
    hook.after_train_iter(runner, 0, dict(data_samples=[]))


def test_a_process_without_truth_takes_part_in_the_sum(monkeypatch):
    summed = []
    monkeypatch.setattr('mmwsss.engine.hooks.kept_precision.all_reduce', summed.append)
    run(KeptPrecisionHook(interval=1), torch.ones(1, 1, 2, dtype=torch.bool), [sample([[0, 1]])])
    assert [tuple(counts.shape) for counts in summed] == [(2, 256)] * 2
