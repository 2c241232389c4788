"""Schedules that depend on the step alone, and their settings when a run is resumed."""

from collections.abc import Mapping
from typing import Any

from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
from mmengine.optim.scheduler.param_scheduler import _ParamScheduler

from mmwsss.utils.console import notify

__all__ = ['ClosedFormLR', 'changed_settings']

_COUNTERS = ('base_values', 'last_step', 'optimizer', 'param_name', 'verbose')


class ClosedFormLR(LRSchedulerMixin, _ParamScheduler):
    """Learning rate that follows from the step alone.

    A resumed run continues at its step of the curve that the config describes now, with the config's base rates. With
    the same config this is the curve of the uninterrupted run, to the last bit.
    """

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load the number of finished steps, and nothing of the old curve.

        Args:
            state_dict (Mapping[str, Any]): From the ``state_dict`` of a schedule.
        """
        changed = changed_settings(self, state_dict)
        if changed:
            notify(f'{type(self).__name__} follows the config from here on: {"; ".join(changed)}')
        done = state_dict['_global_step']
        self._global_step = done
        self.last_step = min(done, self.end - 1) - self.begin if done >= self.begin else -1
        if self.begin <= done < self.end:
            for group, value in zip(self.optimizer.param_groups, self._get_value()):
                group[self.param_name] = value
        self._last_value = [group[self.param_name] for group in self.optimizer.param_groups]


def changed_settings(scheduler: _ParamScheduler, state_dict: Mapping[str, Any]) -> list[str]:
    """Compare the settings of a schedule with those in a checkpoint.

    Args:
        scheduler (_ParamScheduler): As the config describes it.
        state_dict (Mapping[str, Any]): From the ``state_dict`` of the schedule that was saved.

    Returns:
        list[str]: A text with both values for every setting that differs.
    """
    own = {key: value for key, value in scheduler.state_dict().items()
           if not key.startswith('_') and key not in _COUNTERS}
    return [f'{key} is {value} in the config and {state_dict[key]} in the checkpoint' for key, value in own.items()
            if key in state_dict and state_dict[key] != value]
