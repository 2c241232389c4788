"""The per-epoch cosine schedule of DeiT as MCTformer's published code runs it."""

import math
from typing import Optional, Union

from mmengine.optim import BaseOptimWrapper
from mmengine.optim.scheduler.param_scheduler import INF
from torch.optim import Optimizer

from mmwsss.registry import PARAM_SCHEDULERS

from .closed_form import ClosedFormLR

__all__ = ['LaggedCosineLR', 'lagged_cosine']


def lagged_cosine(step: int,
                  base_lr: float,
                  total: int,
                  warmup: int = 5,
                  warmup_lr: float = 1e-6,
                  min_lr: float = 1e-5,
                  lag: int = 1) -> float:
    """Return the learning rate of a 0-based epoch.

    With ``t = max(step - lag, 0)``: linear from ``warmup_lr`` toward ``base_lr`` while ``t < warmup``; afterward
    ``min_lr + (base_lr - min_lr) * (1 + cos(pi * t / total)) / 2``, which is not shifted by the warm-up and therefore
    starts below ``base_lr``.

    Both floors are rates, not ratios, as in the published code. Where ``base_lr`` lies below one of them, it takes that
    floor's place, so that no rate ever exceeds its base: parameters with a multiplier of 0 stay frozen.

    Args:
        step: Epoch, counted from 0.
        base_lr: Rate of the parameter group.
        total: Epochs after which the cosine ends; ``min_lr`` from there on.
        warmup: Epochs of the warm-up; 0 for none.
        warmup_lr: Rate at ``t = 0``.
        min_lr: Rate at ``t = total``.
        lag: By how many epochs the schedule is late. The published loop steps its scheduler after an epoch with that
            epoch's number, so that the first two epochs train alike: 1.

    Returns:
        float: The rate.
    """
    t = max(step - lag, 0)
    if t < warmup:
        start = min(warmup_lr, base_lr)
        return start + (base_lr - start) * t / warmup
    floor = min(min_lr, base_lr)
    return floor + 0.5 * (base_lr - floor) * (1 + math.cos(math.pi * min(t / total, 1)))


@PARAM_SCHEDULERS.register_module()
class LaggedCosineLR(ClosedFormLR):
    """Warm-up and unshifted cosine that lag by an epoch: :func:`lagged_cosine` of each group's base rate.

    mmengine's ``LinearLR`` followed by ``CosineAnnealingLR`` is another curve: its cosine begins at the base rate.

    Args:
        optimizer: Optimizer or its wrapper.
        total: See :func:`lagged_cosine`. None takes ``end``, which the Runner sets to the length of training.
        warmup: Epochs of the warm-up; 0 for none.
        warmup_lr: Rate at the start of the warm-up.
        min_lr: Rate at the end.
        lag: By how many epochs the schedule is late.
        begin: See mmengine's schedulers.
        end: See mmengine's schedulers.
        by_epoch: See mmengine's schedulers. If False, all lengths count iterations.
        last_step: See mmengine's schedulers.
        verbose: See mmengine's schedulers.

    Raises:
        ValueError: ``total`` is not positive, or neither it nor ``end`` is given; ``warmup`` or ``lag`` is negative.
    """

    def __init__(self,
                 optimizer: Union[Optimizer, BaseOptimWrapper],
                 total: Optional[int] = None,
                 warmup: int = 5,
                 warmup_lr: float = 1e-6,
                 min_lr: float = 1e-5,
                 lag: int = 1,
                 begin: int = 0,
                 end: int = INF,
                 by_epoch: bool = True,
                 last_step: int = -1,
                 verbose: bool = False) -> None:
        total = end if total is None else total
        if not 0 < total < INF:
            raise ValueError(f'total, or else end, must be a positive number of steps, got total={total}, end={end}')
        if warmup < 0 or lag < 0:
            raise ValueError(f'warmup and lag must not be negative, got warmup={warmup}, lag={lag}')
        self.total = total
        self.warmup = warmup
        self.warmup_lr = warmup_lr
        self.min_lr = min_lr
        self.lag = lag
        super().__init__(
            optimizer, begin=begin, end=end, by_epoch=by_epoch, last_step=last_step, verbose=verbose)

    def _get_value(self) -> list[float]:
        return [
            lagged_cosine(self.last_step, base, self.total, self.warmup, self.warmup_lr, self.min_lr, self.lag)
            for base in self.base_values
        ]
