"""How far a training is, for lines that hooks write."""

from typing import Any

from mmengine.runner import EpochBasedTrainLoop, Runner

__all__ = ['training_progress']


def training_progress(runner: Runner) -> dict[str, Any]:
    """Return ``iter``, the iterations done with the current one, and ``epoch``, a fraction, or None without epochs."""
    loop, done = runner.train_loop, runner.iter + 1
    return dict(iter=done, epoch=done / len(loop.dataloader) if isinstance(loop, EpochBasedTrainLoop) else None)
