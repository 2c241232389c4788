"""Log the precision of the pseudo labels that a gradient-clipped loss keeps."""

from pathlib import Path
from typing import Optional

import torch
from mmengine.dist import all_reduce, is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor
from torch.nn import functional as F

from mmwsss.registry import HOOKS
from mmwsss.utils.json_lines import add_line, drop_lines_after

from .training_progress import training_progress

__all__ = ['KeptPrecisionHook']


@HOOKS.register_module()
class KeptPrecisionHook(Hook):
    """Log the precision of pseudo labels, of all and of those not clipped, where true masks are known (WeakTr, Fig. 5).

    Every ``interval`` iterations two percentages are logged, means over classes (background included) of the share of a
    class's labeled pixels that have this class in truth: ``precision_all`` and ``precision_kept``. A line of
    ``kept_precision.jsonl`` in the work directory gets them, too, with ``accuracy_all`` and ``accuracy_kept``, the
    shares of all pixels, and ``kept_share``, the share of labeled pixels that are kept, in percent;
    ``python tools/analyze.py clipping-precision WORK_DIR --out D`` draws the file. Truth comes with the samples as
    ``true_sem_seg``, which :class:`~mmwsss.datasets.transforms.LoadTrueMask` reads; it is not trained on. Without it,
    or without a :class:`~mmwsss.models.GradientClippedCrossEntropyLoss` in the model, nothing happens.

    Args:
        interval: Iterations over which pixels are counted.
        ignore_index: Label that is left out.
    """

    file_name = 'kept_precision.jsonl'

    def __init__(self, interval: int = 50, ignore_index: int = 255) -> None:
        self.interval = interval
        self.ignore_index = ignore_index
        self._loss: Optional[torch.nn.Module] = None
        self._counts = _no_pixels()

    def before_train(self, runner: Runner) -> None:
        """Find the loss, and drop lines that a run from which this one resumes has written beyond its checkpoint."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        losses = (part for part in model.modules() if type(part).__name__ == 'GradientClippedCrossEntropyLoss')
        self._loss = next(losses, None)
        if self._loss is not None and is_main_process():
            drop_lines_after(Path(runner.work_dir) / self.file_name, runner.iter)

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: Optional[dict] = None,
                         outputs: Optional[dict] = None) -> None:
        """Count the pixels of the batch; log every ``interval`` iterations."""
        if self._loss is None or self._loss.kept is None:
            return
        for sample, kept in zip(data_batch['data_samples'], self._loss.kept.cpu()):
            if 'true_sem_seg' in sample:
                self._count(sample.gt_sem_seg.data[0].cpu(), sample.true_sem_seg.data[0].cpu(), kept)
        if not self.every_n_train_iters(runner, self.interval):
            return
        found = {}
        for name, counts in self._counts.items():
            all_reduce(counts)  # also where this process has seen no truth: another one may have, and waits
            labeled, right = counts
            if labeled.any():
                share = (right[labeled > 0] / labeled[labeled > 0]).mean()
                found[f'precision_{name}'] = 100 * share.item()
                found[f'accuracy_{name}'] = 100 * (right.sum() / labeled.sum()).item()
                runner.message_hub.update_scalar(f'train/precision_{name}', found[f'precision_{name}'])
        if found and is_main_process():
            kept_share = 100 * (self._counts['kept'][0].sum() / self._counts['all'][0].sum()).item()
            line = {**training_progress(runner), **found, 'kept_share': kept_share}
            add_line(Path(runner.work_dir) / self.file_name, line)
        self._counts = _no_pixels()

    def _count(self, labels: Tensor, truth: Tensor, kept: Tensor) -> None:
        """Add labels (h, w), compared with truth (h, w); ``kept`` (H, W) is of the padded crop."""
        labels, truth = (F.pad(part, (0, kept.shape[1] - part.shape[1], 0, kept.shape[0] - part.shape[0]),
                               value=self.ignore_index) for part in (labels, truth))
        valid = (truth != self.ignore_index) & (labels != self.ignore_index)
        for name, mask in (('all', valid), ('kept', valid & kept)):
            chosen = labels[mask].long()
            right = chosen[chosen == truth[mask]]
            counts = torch.stack([torch.bincount(part, minlength=256).double() for part in (chosen, right)])
            self._counts[name] += counts


def _no_pixels() -> dict[str, Tensor]:
    """Return the numbers of labeled and of right pixels by class, each (2, 256), before any pixel is counted."""
    return {name: torch.zeros(2, 256, dtype=torch.float64) for name in ('all', 'kept')}
