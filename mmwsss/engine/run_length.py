"""Scale a training config to another number of iterations."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mmengine.config import Config
from mmengine.optim.scheduler.param_scheduler import INF
from mmengine.registry import Registry

from mmwsss.registry import HOOKS, MODELS, PARAM_SCHEDULERS
from mmwsss.utils.errors import UserError

__all__ = ['run_length', 'set_iterations']

LOOP_KEYS = ('val_interval', 'val_begin')
SCHEDULE_KEYS = ('begin', 'end', 'total', 'total_steps', 'warmup', 'lag', 'interval', 'step_size', 'T_max',
                 'milestones', 'periods')
HOOK_KEYS = ('interval', 'save_begin', 'begin_iter')
SCALED_DEFAULT_HOOKS = ('checkpoint', 'logger')
"""tuple: The default hooks whose interval counts training; that of the pictures counts validation batches."""
ENDLESS_SAMPLERS = {'EpochSampler': 'IterationSampler', 'DefaultSampler': 'InfiniteSampler'}

Scale = Callable[[int, bool], int]


def run_length(cfg: Config, per_epoch: int) -> int:
    """Return the number of iterations for which a config trains.

    Args:
        cfg (Config): A config with ``train_cfg``.
        per_epoch (int): Iterations in an epoch.

    Raises:
        UserError: ``train_cfg`` has neither ``max_iters`` nor ``max_epochs``.
    """
    loop = cfg.get('train_cfg') or {}
    if loop.get('max_iters'):
        return loop['max_iters']
    if loop.get('max_epochs'):
        return loop['max_epochs'] * per_epoch
    raise UserError(f'the length of training is unknown: train_cfg of {cfg.filename or "the config"} has neither '
                    'max_iters nor max_epochs')


def set_iterations(cfg: Config, iters: int, per_epoch: int) -> Config:
    """Scale a config to another number of iterations.

    Everything that depends on the length of training is scaled by the same factor: warm-up, milestones and decay of the
    schedules; the beginnings of training phases, auxiliaries and hooks; the intervals of validation, checkpoints and
    logs. What counts epochs counts iterations afterward, and so does the training loop. Nothing that was positive
    becomes 0, and phases of training stay in order.

    Args:
        cfg (Config): The config, changed in place.
        iters (int): The number of iterations, 1 or more.
        per_epoch (int): Iterations in an epoch: training images divided by the batch size of all processes.

    Returns:
        Config: ``cfg`` itself.

    Raises:
        UserError: ``iters`` is below 1, the length of training is unknown, or it is shorter than an iteration because
            there are fewer images than a batch has.
    """
    if iters < 1:
        raise UserError(f'the number of iterations must be 1 or more, got {iters}')
    total = run_length(cfg, per_epoch)
    if total < 1:
        raise UserError('the training data have fewer images than a batch: set a smaller train_dataloader.batch_size')

    def scale(value: int, by_epoch: bool) -> int:
        return max(round(value * (per_epoch if by_epoch else 1) * iters / total), 1)

    _scale_loop(cfg, iters, scale)
    for schedule in _entries(cfg.get('param_scheduler')):
        _scale_entry(schedule, SCHEDULE_KEYS, PARAM_SCHEDULERS, scale)
        if schedule.pop('convert_to_iter_based', False) or 'by_epoch' in schedule:
            schedule['by_epoch'] = False
    default_hooks = cfg.get('default_hooks') or {}
    for hook in (default_hooks[name] for name in SCALED_DEFAULT_HOOKS if default_hooks.get(name)):
        _scale_entry(hook, HOOK_KEYS, HOOKS, scale)
    for hook in cfg.get('custom_hooks') or ():
        if hook.get('begin_epoch'):
            hook['begin_iter'] = hook.pop('begin_epoch') * per_epoch
        _scale_entry(hook, HOOK_KEYS, HOOKS, scale)
    _scale_model(cfg.get('model'), scale)
    return cfg


def _scale_loop(cfg: Config, iters: int, scale: Scale) -> None:
    """Set the length and the validations of the training loop, which counts iterations from here on."""
    loop = cfg.train_cfg
    by_epoch = not loop.get('max_iters')
    for key in LOOP_KEYS:
        if loop.get(key):
            loop[key] = scale(loop[key], by_epoch)
    if loop.get('dynamic_intervals'):
        loop['dynamic_intervals'] = [tuple(scale(value, by_epoch) for value in pair)
                                     for pair in loop['dynamic_intervals']]
    loop['max_iters'] = iters
    if not by_epoch:
        return
    loop.pop('max_epochs')
    loop.pop('by_epoch', None)
    if loop.get('type') in ('EpochBasedTrainLoop', None):
        loop['type'] = 'IterBasedTrainLoop'
    sampler = cfg.train_dataloader.get('sampler') or {}
    sampler['type'] = ENDLESS_SAMPLERS.get(sampler.get('type'), sampler.get('type'))
    cfg.setdefault('log_processor', {})['by_epoch'] = False
    if (cfg.get('default_hooks') or {}).get('logger'):
        cfg.default_hooks.logger['log_metric_by_epoch'] = False


def _scale_entry(entry: dict, keys: tuple[str, ...], registry: Registry, scale: Scale) -> None:
    """Scale the lengths of a schedule or a hook, also those that are left to the defaults of its class."""
    defaults = _defaults(entry, registry)
    by_epoch = bool(entry.get('by_epoch', defaults.get('by_epoch', False)))
    for key in keys:
        value = entry.get(key, defaults.get(key))
        if isinstance(value, (list, tuple)):
            entry[key] = [scale(step, by_epoch) for step in value]
        elif isinstance(value, int) and 0 < value < INF:
            entry[key] = scale(value, by_epoch)
    if 'end' in entry:  # of a schedule in a run that is too short for it
        entry['end'] = max(entry['end'], entry.get('begin', 0) + 1)
    if by_epoch:
        entry['by_epoch'] = False


def _scale_model(node: Any, scale: Scale) -> None:
    """Scale when parts of a model begin: ``begin`` and keys that end with ``_begin``, at any depth."""
    if isinstance(node, (list, tuple)):
        for item in node:
            _scale_model(item, scale)
    if not isinstance(node, dict):
        return
    by_epoch = bool(node.get('by_epoch', _defaults(node, MODELS).get('by_epoch', False)))
    begins = []
    for key, value in node.items():
        if (key == 'begin' or key.endswith('_begin')) and isinstance(value, int) and value > 0:
            begins.append(key)
        elif key == 'phases':
            _scale_phases(value, scale)
        else:
            _scale_model(value, scale)
    for key in begins:
        node[key] = scale(node[key], by_epoch)
    if begins and by_epoch:
        node['by_epoch'] = False


def _scale_phases(phases: list[dict], scale: Scale) -> None:
    """Scale the beginnings of training phases, each after that of the phase before."""
    earlier = -1
    for phase in phases:
        begin = scale(phase['begin'], False) if phase['begin'] else 0
        phase['begin'] = earlier = max(begin, earlier + 1)


def _entries(schedules: Any) -> Iterator[dict]:
    """Yield the configs of schedules: one, a list, or lists by name of an optimizer."""
    if isinstance(schedules, (list, tuple)):
        yield from schedules
    elif isinstance(schedules, dict):
        if 'type' in schedules:
            yield schedules
        else:
            for part in schedules.values():
                yield from _entries(part)


def _defaults(entry: Mapping, registry: Registry) -> dict[str, Any]:
    """Return the default arguments of the class that a config's ``type`` names; none if it is unknown."""
    kind = entry.get('type')
    kind = registry.get(kind) if isinstance(kind, str) else kind
    if not inspect.isclass(kind):
        return {}
    found: dict[str, Any] = {}
    for part in reversed(kind.__mro__):  # mmengine's schedules pass arguments on to a base class
        if '__init__' in vars(part):
            parameters = inspect.signature(vars(part)['__init__']).parameters.values()
            found.update((one.name, one.default) for one in parameters if one.default is not one.empty)
    return found
