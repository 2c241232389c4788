"""Learning rate schedules in closed form."""

from typing import Optional

from mmengine.optim.scheduler.param_scheduler import INF

from mmwsss.registry import PARAM_SCHEDULERS

from .closed_form import ClosedFormLR

__all__ = ['WarmupPolyLR', 'warmup_poly']


def warmup_poly(step: int, total: int, warmup: int, warmup_ratio: float, power: float, min_ratio: float = 0.) -> float:
    """Return the factor of the base learning rate at a 0-based step (AFA and ToCo, as published in code).

    Linear from ``warmup_ratio`` during the first ``warmup`` steps; afterward ``(1 - step / total) ** power``, which is
    not shifted by the warm-up and therefore starts below 1. A ``min_ratio`` squeezes that curve into [min_ratio, 1].
    """
    if step < warmup:
        return 1 - (1 - step / warmup) * (1 - warmup_ratio)
    return min_ratio + (1 - min_ratio) * max(1 - step / total, 0.)**power


@PARAM_SCHEDULERS.register_module()
class WarmupPolyLR(ClosedFormLR):
    """Linear warm-up by ratio, then an unshifted polynomial decay, both computed from the step alone.

    mmengine's ``LinearLR`` followed by ``PolyLR`` shifts the decay and multiplies step by step, which is another curve.

    Args:
        total: T, the step at which the rate would reach 0; the length of training. None takes ``end``, which the Runner
            sets to that length.
        warmup: Steps of the warm-up.
        warmup_ratio: Factor at step 0.
        power: Exponent of the decay.
        interval: The decay changes the rate in every so many steps only, and holds it in between.
        min_ratio: Factor at step T. Being a ratio, it is the same for every group of parameters, unlike mmengine's
            ``eta_min``, which is a rate.

    Raises:
        ValueError: ``total`` is not positive, or neither it nor ``end`` is given; ``warmup`` is negative; ``interval``
            is below 1.
    """

    def __init__(self,
                 optimizer,
                 total: Optional[int] = None,
                 warmup: int = 1500,
                 warmup_ratio: float = 1e-6,
                 power: float = 0.9,
                 min_ratio: float = 0.,
                 begin: int = 0,
                 end: int = INF,
                 by_epoch: bool = False,
                 last_step: int = -1,
                 verbose: bool = False,
                 interval: int = 1) -> None:
        total = end if total is None else total
        if not 0 < total < INF or warmup < 0:
            raise ValueError('total, or else end, must be a positive number of steps and warmup not negative, got '
                             f'total={total}, end={end}, warmup={warmup}')
        if interval < 1:
            raise ValueError(f'interval must be 1 or more, got {interval}')
        self.total = total
        self.interval = interval
        self.warmup = warmup
        self.warmup_ratio = warmup_ratio
        self.power = power
        self.min_ratio = min_ratio
        super().__init__(
            optimizer, begin=begin, end=end, by_epoch=by_epoch, last_step=last_step, verbose=verbose)

    def _get_value(self) -> list[float]:
        step = self.last_step
        if step >= self.warmup:
            step = max(step // self.interval * self.interval, self.warmup)
        factor = warmup_poly(
            step, self.total, self.warmup, self.warmup_ratio, self.power, self.min_ratio)
        return [base * factor for base in self.base_values]
