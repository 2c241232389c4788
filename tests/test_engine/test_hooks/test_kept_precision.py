from functools import partial
from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmwsss.engine import KeptPrecisionHook
from mmwsss.models import GradientClippedCrossEntropyLoss
from mmwsss.models.losses.gradient_clipping import clipping_thresholds
from mmwsss.utils.json_lines import read_lines


def sample(labels: list, truth: list = None) -> SegDataSample:
    made = SegDataSample(gt_sem_seg=PixelData(data=torch.tensor([labels])))
    if truth is not None:
        made.true_sem_seg = PixelData(data=torch.tensor([truth]))
    return made


@pytest.fixture
def run(tmp_path):
    """Run a hook for some iterations; the work directory is ``tmp_path``."""
    return partial(run_hook, work_dir=tmp_path)


def run_hook(hook: KeptPrecisionHook, kept: torch.Tensor, samples: list, iters: int = 1, *, work_dir) -> MessageHub:
    loss = GradientClippedCrossEntropyLoss(2)
    loss.kept = kept
    hub = MessageHub('kept precision')
    hub.log_scalars.clear()
    runner = SimpleNamespace(model=torch.nn.Sequential(loss), message_hub=hub, iter=0, work_dir=work_dir,
                             train_loop=None)
    hook.before_train(runner)
    for runner.iter in range(iters):
        hook.after_train_iter(runner, runner.iter, dict(data_samples=samples))
    return hub


def test_precision_is_a_mean_over_classes(run):
    labels, truth = [[0, 0, 1, 1], [0, 255, 1, 2]], [[0, 1, 1, 1], [0, 0, 255, 2]]
    kept = torch.ones(1, 2, 4, dtype=torch.bool)
    kept[0, 0, 1] = False
    hub = run(KeptPrecisionHook(interval=2), kept, [sample(labels, truth)], iters=2)
    assert hub.get_scalar('train/precision_all').current() == pytest.approx(100 * (2 / 3 + 1 + 1) / 3)
    assert hub.get_scalar('train/precision_kept').current() == pytest.approx(100)


def test_crops_smaller_than_the_batch_are_padded_at_the_right_and_bottom(run):
    kept = torch.zeros(2, 3, 3, dtype=torch.bool)
    kept[0, 0, 0] = kept[1, 1, 1] = True
    samples = [sample([[1, 2]], [[1, 1]]), sample([[0, 0], [0, 2]], [[0, 0], [0, 0]])]
    hub = run(KeptPrecisionHook(interval=1), kept, samples)
    assert hub.get_scalar('train/precision_kept').current() == pytest.approx(50)
    assert hub.get_scalar('train/precision_all').current() == pytest.approx(100 * (1 + 1 + 0) / 3)


def test_without_truth_or_loss_nothing_is_logged(run):
    hub = run(KeptPrecisionHook(interval=1), torch.ones(1, 1, 2, dtype=torch.bool), [sample([[0, 1]])])
    assert not hub.log_scalars
    runner = SimpleNamespace(model=torch.nn.Linear(1, 1), message_hub=hub, iter=0)
    hook = KeptPrecisionHook()
    hook.before_train(runner)
    hook.after_train_iter(runner, 0, dict(data_samples=[]))


def test_a_process_without_truth_takes_part_in_the_sum(run, monkeypatch):
    summed = []
    monkeypatch.setattr('mmwsss.engine.hooks.kept_precision.all_reduce', summed.append)
    run(KeptPrecisionHook(interval=1), torch.ones(1, 1, 2, dtype=torch.bool), [sample([[0, 1]])])
    assert [tuple(counts.shape) for counts in summed] == [(2, 256)] * 2


COST = torch.tensor([[.1, .2, 1, .8], [.3, .4, 2, .2], [.1, .1, .3, .5], [.2, .6, .4, 1.8]])
THRESHOLDS = torch.tensor([[.5625, 1], [.5625, .75]]).repeat_interleave(2, 0).repeat_interleave(2, 1)
LABELS = [[0, 0, 1, 1], [0, 1, 1, 0], [0, 0, 1, 1], [0, 1, 1, 0]]
TRUTH = [[0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]


def test_worked_example_in_the_file(run, tmp_path):
    torch.testing.assert_close(clipping_thresholds(COST[None], 2, 1.2), THRESHOLDS)
    run(KeptPrecisionHook(interval=1), (COST < THRESHOLDS)[None], [sample(LABELS, TRUTH)])
    line, = read_lines(tmp_path / 'kept_precision.jsonl')
    assert (line['iter'], line['epoch']) == (1, None)
    assert line['accuracy_all'] == line['kept_share'] == pytest.approx(75)
    assert line['accuracy_kept'] == line['precision_kept'] == pytest.approx(100)
    assert line['precision_all'] == pytest.approx(100 * (7 / 8 + 5 / 8) / 2)


def test_a_resumed_training_continues_the_file(run, tmp_path):
    kept, samples = torch.ones(1, 1, 2, dtype=torch.bool), [sample([[0, 1]], [[0, 1]])]
    run(KeptPrecisionHook(interval=1), kept, samples, iters=3)
    run(KeptPrecisionHook(interval=1), kept, samples, iters=2)  # from iteration 0
    assert [line['iter'] for line in read_lines(tmp_path / 'kept_precision.jsonl')] == [1, 2]
