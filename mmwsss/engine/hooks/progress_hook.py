"""Show on a quiet console how far a run is, and its metrics."""

from collections.abc import Mapping, Sized
from numbers import Real
from types import TracebackType
from typing import Any, Optional

import torch
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, Runner

from mmwsss.registry import HOOKS
from mmwsss.utils.console import echo, is_quiet, print_facts, show_tables
from mmwsss.utils.dist import is_first_process
from mmwsss.utils.progress import ProgressLine

__all__ = ['ProgressHook']


@HOOKS.register_module()
class ProgressHook(Hook):
    """Show training, validation and test as one line of progress each, and metrics as a line.

    It shows something in tools only, in the first process, and not if they are verbose: then mmengine's ``LoggerHook``
    shows the same on the console. Tests also show their tables for each class. Use the hook as a context manager around
    the run, which ends the line when an error ends the run::

        progress = ProgressHook()
        runner.register_hook(progress)
        with progress:
            runner.train()

    Args:
        results (bool): Whether to show the metrics and tables of a test. Defaults to True.
    """

    # After the hooks that save checkpoints and write results.
    priority = 'LOWEST'

    def __init__(self, results: bool = True) -> None:
        self.results = results
        self._line: Optional[ProgressLine] = None

    def __enter__(self) -> 'ProgressHook':
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self._close()

    def before_run(self, runner: Runner) -> None:
        """Show where the whole log is."""
        if is_quiet() and is_first_process():
            print_facts(log=getattr(runner.logger, 'log_file', None))

    def before_train(self, runner: Runner) -> None:
        """Begin the line of the training."""
        self._open('training', runner.max_iters, runner.iter)
        if runner.iter and self._line:
            echo(f'resumed at {_when(runner)}')

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: Optional[Mapping] = None) -> None:
        """Count the iteration, and show its loss now and then."""
        if self._line:
            self._line.update(runner.iter + 1, note=lambda: _loss_text(outputs))

    def after_train(self, runner: Runner) -> None:
        """End the line, and show where the weights are."""
        if self._line:
            self._close()
            print_facts(checkpoint=runner.message_hub.runtime_info.get('last_ckpt'))

    def before_val_epoch(self, runner: Runner) -> None:
        """Begin the line of a validation outside training."""
        if self._line is None:
            self._open('validation', _length(runner.val_dataloader))

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                       outputs: Optional[Any] = None) -> None:
        """Show how far the validation is: during training, behind the line of the training."""
        self._show_batch(runner._train_loop, batch_idx, runner.val_dataloader, 'validating')

    def after_val_epoch(self, runner: Runner, metrics: Optional[dict[str, float]] = None) -> None:
        """Show the metrics."""
        if self._line:
            echo(f'{_when(runner)}: {_metrics_text(metrics or {})}')
            self._line.update(note='')

    def before_test_epoch(self, runner: Runner) -> None:
        """Begin the line of the test."""
        self._open('test', _length(runner.test_dataloader))
        if self.results:
            show_tables()

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                        outputs: Optional[Any] = None) -> None:
        """Count the batch; the line ends before the tables of results."""
        self._show_batch(None, batch_idx, runner.test_dataloader, '')
        if batch_idx + 1 == _length(runner.test_dataloader):
            self._close()

    def after_test_epoch(self, runner: Runner, metrics: Optional[dict[str, float]] = None) -> None:
        """Show the metrics."""
        if self.results and metrics and is_quiet() and is_first_process():
            echo(_metrics_text(metrics))

    def _open(self, title: str, total: Optional[int], completed: int = 0) -> None:
        self._close()
        if is_quiet() and is_first_process():
            self._line = ProgressLine(title, total or None, completed).__enter__()

    def _close(self) -> None:
        if self._line:
            self._line.__exit__(None, None, None)
            self._line = None

    def _show_batch(self, train_loop: Any, batch_idx: int, loader: Sized, title: str) -> None:
        if self._line is None:
            return
        if isinstance(train_loop, BaseLoop):
            self._line.update(note=f'{title} {batch_idx + 1}/{_length(loader)}')
        else:
            self._line.update(batch_idx + 1)


def _length(loader: Any) -> Optional[int]:
    return len(loader) if isinstance(loader, Sized) else None


def _when(runner: Runner) -> str:
    """Return the epoch or the iteration that the run has finished."""
    if isinstance(runner._train_loop, EpochBasedTrainLoop):
        return f'epoch {runner.epoch}'
    return f'iteration {runner.iter}' if isinstance(runner._train_loop, BaseLoop) else 'validation'


def _loss_text(outputs: Any) -> str:
    loss = outputs.get('loss') if isinstance(outputs, Mapping) else None
    return '' if loss is None else f'loss {torch.as_tensor(loss).item():.4g}'


def _metrics_text(metrics: Mapping[str, Any]) -> str:
    """Return the metrics that are numbers, with two decimals."""
    return '  '.join(f'{name} {value:.2f}' for name, value in metrics.items() if isinstance(value, Real))
