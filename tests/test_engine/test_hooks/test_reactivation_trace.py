"""Lines that describe AReAM's mechanism in training."""

from types import SimpleNamespace

import torch

from mmwsss.engine import ReactivationTraceHook
from mmwsss.models.auxiliaries import AffinityReactivation
from mmwsss.utils.json_lines import read_lines


def train(work_dir, interval, iters, first=0, active=True):
    part = AffinityReactivation('cams', dict(type='AffinityLoss'), dict(labeler=dict(type='ThresholdLabels')))
    hook = ReactivationTraceHook(interval)
    runner = SimpleNamespace(model=torch.nn.Sequential(part), iter=first, work_dir=work_dir, train_loop=None)
    hook.before_train(runner)
    for runner.iter in range(first, first + iters):
        hook.before_train_iter(runner, runner.iter)
        if part.tracing and active:  # what the model does
            part.trace = dict(entropies=[-.1 * runner.iter, -.2])
        hook.after_train_iter(runner, runner.iter)
    return work_dir / 'reactivation.jsonl'


def test_a_line_every_other_iteration(tmp_path):
    lines = read_lines(train(tmp_path, 2, 5))
    assert lines == [dict(iter=2, epoch=None, entropies=[-.1, -.2]), dict(iter=4, epoch=None, entropies=[-.1 * 3, -.2])]


def test_a_resumed_training_continues_the_file(tmp_path):
    train(tmp_path, 1, 4)
    assert [line['iter'] for line in read_lines(train(tmp_path, 1, 3, first=2))] == [1, 2, 3, 4, 5]


def test_nothing_is_written_before_the_mechanism_begins(tmp_path):
    assert not train(tmp_path, 1, 2, active=False).exists()


def test_other_models_are_left_alone(tmp_path):
    hook = ReactivationTraceHook()
    runner = SimpleNamespace(model=torch.nn.Linear(1, 1), iter=0, work_dir=tmp_path, train_loop=None)
    hook.before_train(runner)
    hook.before_train_iter(runner, 0)
    hook.after_train_iter(runner, 0)
    assert not list(tmp_path.iterdir())
