"""Write how AReAM's entropies, weights and losses of the layers develop in training."""

from pathlib import Path
from typing import Optional

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmwsss.models.auxiliaries import AffinityReactivation
from mmwsss.registry import HOOKS
from mmwsss.utils.json_lines import add_line, drop_lines_after

from .training_progress import training_progress

__all__ = ['ReactivationTraceHook']


@HOOKS.register_module()
class ReactivationTraceHook(Hook):
    """Write entropies, weights and losses of the layers to ``reactivation.jsonl`` in the work directory.

    Every ``interval`` iterations the first process adds a line: a JSON object with ``iter``, ``epoch`` and the
    attribute ``trace`` of the mechanism, means over the images of this process.
    ``python tools/analyze.py reactivation WORK_DIR --out D`` draws the file. A model without
    :class:`~mmwsss.models.AffinityReactivation` is left alone, and so are iterations in which it is not active.

    Args:
        interval: Iterations from one line to the next.
    """

    file_name = 'reactivation.jsonl'

    def __init__(self, interval: int = 10) -> None:
        if interval < 1:
            raise ValueError(f'interval must be at least 1, got {interval}')
        self.interval = interval
        self._part: Optional[AffinityReactivation] = None

    def before_train(self, runner: Runner) -> None:
        """Find the mechanism, and drop what a run from which this one resumes has written beyond its checkpoint."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self._part = next((part for part in model.modules() if isinstance(part, AffinityReactivation)), None)
        if self._part is not None and is_main_process():
            drop_lines_after(Path(runner.work_dir) / self.file_name, runner.iter)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Optional[dict] = None) -> None:
        """Ask for a trace of the iterations that are written."""
        if self._part is not None:
            self._part.trace = None
            self._part.tracing = self.every_n_train_iters(runner, self.interval)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Optional[dict] = None,
                         outputs: Optional[dict] = None) -> None:
        """Write the trace."""
        if self._part is not None and self._part.tracing and self._part.trace and is_main_process():
            add_line(Path(runner.work_dir) / self.file_name, {**training_progress(runner), **self._part.trace})
