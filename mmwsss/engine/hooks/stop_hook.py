"""Stop a run after the iteration in which a signal asked for it, with a checkpoint to resume from."""

from typing import Any, Optional

import torch
from mmengine.dist import all_reduce, barrier, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from mmwsss.registry import HOOKS
from mmwsss.utils.signals import Stopped, raise_if_stopped, requested_signal, shield_worker
from mmwsss.utils.workers import initialize_before_fork

from .checkpoint_hook import CheckpointHook

__all__ = ['StopHook']


@HOOKS.register_module()
class StopHook(Hook):
    """Stop training, validation or a test when a signal has asked for it.

    Call the runner inside :func:`mmwsss.utils.signals.finish_first`. Training stops after the iteration in progress, in
    all processes after the same one, and :class:`~mmwsss.engine.CheckpointHook` saves a checkpoint of this iteration.
    Training by epochs can be resumed only where an epoch begins; a stop within an epoch saves nothing, and the epoch is
    repeated. A stop during validation saves the weights that are being validated.
    """

    # After the hooks that save checkpoints and write labels.
    priority = 'LOWEST'

    def before_train(self, runner: Runner) -> None:
        """Let the worker processes of the training data outlive the signal."""
        _shield_workers(runner.train_dataloader)

    def before_val(self, runner: Runner) -> None:
        """Let the worker processes of the validation data outlive the signal."""
        _shield_workers(runner.val_dataloader)

    def before_test(self, runner: Runner) -> None:
        """Let the worker processes of the test data outlive the signal."""
        _shield_workers(runner.test_dataloader)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: Optional[dict] = None) -> None:
        """Stop here if a signal asks for it, unless an epoch ends with this iteration.

        Raises:
            Stopped: A signal asks one of the processes to stop.
        """
        by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
        if by_epoch and batch_idx + 1 == len(runner.train_dataloader):
            return
        number = _signal_of_any_process()
        if number and not by_epoch:
            _save(runner, False, runner.iter + 1)
        _stop(number)

    def after_train_epoch(self, runner: Runner) -> None:
        """Stop here if a signal asks for it.

        Raises:
            Stopped: A signal asks one of the processes to stop.
        """
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            return
        number = _signal_of_any_process()
        if number:
            _save(runner, True, runner.epoch + 1)
        _stop(number)

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                       outputs: Optional[Any] = None) -> None:
        """Stop here if a signal asks this process for it.

        Raises:
            Stopped: A signal asks for it.
        """
        if requested_signal() and isinstance(runner._train_loop, BaseLoop):
            by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
            _save(runner, by_epoch, runner.epoch if by_epoch else runner.iter)
        raise_if_stopped()

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                        outputs: Optional[Any] = None) -> None:
        """Stop here if a signal asks this process for it.

        Raises:
            Stopped: A signal asks for it.
        """
        raise_if_stopped()


def _save(runner: Runner, by_epoch: bool, step: int) -> None:
    """Let the checkpoint hook save the state after an iteration or epoch."""
    if not is_main_process():
        return
    for hook in runner.hooks:
        if isinstance(hook, CheckpointHook) and hook.by_epoch == by_epoch:
            hook.save_step(runner, step)


def _signal_of_any_process() -> int:
    """Return the signal that asks any of the processes to stop, the same in each; 0 for none."""
    number = requested_signal() or 0
    if get_world_size() > 1:
        numbers = torch.tensor(number)
        all_reduce(numbers, 'max')
        number = int(numbers)
    return number


def _stop(number: int) -> None:
    if number:
        barrier()  # the launcher ends the others when the first process has ended
        raise Stopped(number)


def _shield_workers(loader: DataLoader) -> None:
    """Run :func:`shield_worker` in the workers of a data loader, after what it runs in them already."""
    if not isinstance(loader, DataLoader) or isinstance(loader.worker_init_fn, _Shielded):
        return
    initialize_before_fork()
    loader.worker_init_fn = _Shielded(loader.worker_init_fn)


class _Shielded:
    """The start of a worker, and its shield; an object, so that it can be sent to processes that are not forked."""

    def __init__(self, start: Any) -> None:
        self.start = start

    def __call__(self, worker_id: int) -> None:
        if self.start is not None:
            self.start(worker_id)
        shield_worker()
