"""Learning rate schedules in closed form."""

from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
from mmengine.optim.scheduler.param_scheduler import INF, _ParamScheduler

from mmwsss.registry import PARAM_SCHEDULERS

__all__ = ['WarmupPolyLR', 'warmup_poly']


def warmup_poly(step: int, total: int, warmup: int, warmup_ratio: float, power: float) -> float:
    """Give the factor of the base learning rate at a 0-based step (AFA and ToCo, as published in code).

    Linear from ``warmup_ratio`` during the first ``warmup`` steps; afterwards ``(1 - step / total) ** power``, which is
    not shifted by the warm-up and therefore starts below 1.
    """
    if step < warmup:
        return 1 - (1 - step / warmup) * (1 - warmup_ratio)
    return max(1 - step / total, 0.)**power


@PARAM_SCHEDULERS.register_module()
class WarmupPolyLR(LRSchedulerMixin, _ParamScheduler):
    """Linear warm-up by ratio, then an unshifted polynomial decay, both computed from the step alone.

    mmengine's ``LinearLR`` followed by ``PolyLR`` shifts the decay and multiplies step by step, which is another curve.

    Args:
        total: T, the step at which the rate would reach 0; the length of training.
        warmup: Steps of the warm-up.
        warmup_ratio: Factor at step 0.
        power: Exponent of the decay.
    """

    def __init__(self,
                 optimizer,
                 total: int,
                 warmup: int = 1500,
                 warmup_ratio: float = 1e-6,
                 power: float = 0.9,
                 begin: int = 0,
                 end: int = INF,
                 by_epoch: bool = False,
                 last_step: int = -1,
                 verbose: bool = False) -> None:
        if total <= 0 or warmup < 0:
            raise ValueError(f'total must be positive and warmup not negative, got total={total}, warmup={warmup}')
        self.total = total
        self.warmup = warmup
        self.warmup_ratio = warmup_ratio
        self.power = power
        super().__init__(
            optimizer, begin=begin, end=end, by_epoch=by_epoch, last_step=last_step, verbose=verbose)

    def _get_value(self) -> list[float]:
        factor = warmup_poly(self.last_step, self.total, self.warmup, self.warmup_ratio, self.power)
        return [base * factor for base in self.base_values]
