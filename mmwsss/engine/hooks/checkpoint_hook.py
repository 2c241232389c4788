"""Write the checkpoints of a run whole or not at all, and load only checkpoints that fit the model."""

import logging
import os
from io import BytesIO
from typing import Any, Optional, Union

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook as MMEngineCheckpointHook
from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from mmwsss.checkpoints import CheckpointError, check_fit
from mmwsss.registry import HOOKS
from mmwsss.utils import atomic_path, first_few

from ..schedulers import ClosedFormLR, changed_settings

__all__ = ['AtomicLocalBackend', 'CheckpointHook']


@register_backend('atomic_local', force=True)
class AtomicLocalBackend(LocalBackend):
    """mmengine's backend for files on this machine, which writes each file whole or not at all."""

    def put(self, obj: Union[bytes, BytesIO], filepath: Union[str, os.PathLike]) -> None:
        """Write bytes to a file.

        Args:
            obj (bytes or BytesIO): The content.
            filepath (str or PathLike): The file; its folder is made if missing. If writing fails, an existing file
                stays as it was.
        """
        with atomic_path(filepath) as tmp:
            super().put(obj, str(tmp))


@HOOKS.register_module()
class CheckpointHook(MMEngineCheckpointHook):
    """mmengine's hook of the same name with safe writing and loading.

    * A checkpoint and ``last_checkpoint`` are written beside their final names and renamed: a full disk or a kill
      leaves the earlier ones as they were. What ``max_keep_ckpts`` does not keep is removed once the new one stands.
    * What is loaded by ``load_from``, ``resume`` or a test must hold exactly the weights of the model.
    * Where a run is resumed with another schedule, schedules of this package follow the config; for those of mmengine,
      whose curve the checkpoint decides, one warning states both values.

    Args:
        *args: See mmengine's hook.
        load_strict (bool): Whether a checkpoint of another model or number of classes is an error. With False,
            weights that fit are loaded and the others stay as they were initialized.
        **kwargs: See mmengine's hook.
    """

    def __init__(self, *args: Any, load_strict: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.load_strict = load_strict

    def before_train(self, runner: Runner) -> None:
        """Choose where and how checkpoints are written."""
        folder = str(self.out_dir or runner.work_dir)
        if self.backend_args is None and self.file_client_args is None and '://' not in folder:
            self.backend_args = dict(backend='atomic_local')
        super().before_train(runner)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuse a checkpoint of another model; warn of a schedule that is not the config's.

        Raises:
            CheckpointError: Names or shapes of weights differ from the model's, or a run is resumed from a file
                without the state of a run.
        """
        name = getattr(runner, '_load_from', None) or os.path.join(runner.work_dir, 'last_checkpoint')
        resumes = getattr(runner, '_resume', False)
        if resumes:
            _check_training_state(checkpoint, name)
        if self.load_strict:
            config = f'config {runner.cfg.filename}' if getattr(runner.cfg, 'filename', None) else 'the config'
            try:
                check_fit(_unwrapped(runner.model), checkpoint, name, config)
            except ValueError as error:
                raise type(error)(f'{error} To load the weights that fit and start with the others at random, set '
                                  'default_hooks.checkpoint.load_strict=False') from error
        if resumes:
            _warn_of_kept_schedules(runner.param_schedulers, checkpoint.get('param_schedulers'))

    def save_step(self, runner: Runner, step: int) -> None:
        """Save the state after an epoch or iteration, if this has not been done; call it in the main process.

        Args:
            runner (Runner): The run.
            step (int): How many epochs (``by_epoch``) or iterations are finished.
        """
        if self.last_ckpt == self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(step)):
            return
        meta = dict(epoch=step, iter=runner.iter) if self.by_epoch else dict(epoch=runner.epoch, iter=step)
        self._save_checkpoint_with_step(runner, step, meta)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        outdated = self._register_step(runner, step)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir, name, self.file_client_args, save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler, meta=meta, by_epoch=self.by_epoch,
            backend_args=self.backend_args, **self.args)
        if not is_main_process():
            return
        with atomic_path(os.path.join(runner.work_dir, 'last_checkpoint')) as tmp:
            tmp.write_text(self.last_ckpt, encoding='utf-8')
        if outdated is not None:
            self._remove(outdated)

    def _register_step(self, runner: Runner, step: int) -> Optional[int]:
        """Add a step to those whose checkpoints are kept, which the checkpoint itself records.

        Returns:
            int, optional: The step whose checkpoint is not kept any more.
        """
        if self.max_keep_ckpts <= 0 or step in list(self.keep_ckpt_ids)[-1:]:
            return None
        outdated = self.keep_ckpt_ids.popleft() if len(self.keep_ckpt_ids) == self.max_keep_ckpts else None
        self.keep_ckpt_ids.append(step)
        runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        return outdated

    def _remove(self, step: int) -> None:
        path = self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(step))
        if self.file_backend.isfile(path):
            self.file_backend.remove(path)
        elif self.file_backend.isdir(path):  # DeepSpeed writes folders.
            self.file_backend.rmtree(path)


def _unwrapped(model: nn.Module) -> nn.Module:
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


def _check_training_state(checkpoint: dict, name: str) -> None:
    """Refuse to resume from weights alone."""
    meta = checkpoint.get('meta')
    missing = [key for key in ('meta', 'message_hub') if not isinstance(checkpoint.get(key), dict)]
    missing += [f'meta.{key}' for key in ('epoch', 'iter') if isinstance(meta, dict) and key not in meta]
    if missing:
        raise CheckpointError(f'checkpoint {name} is of no run that could be resumed: it lacks {first_few(missing)}. '
                              'To start a new run from its weights, set load_from instead')


def _warn_of_kept_schedules(schedulers: Any, states: Any) -> None:
    """Warn once of settings of mmengine's schedules that the checkpoint decides."""
    if isinstance(schedulers, dict):
        schedulers = [scheduler for name in schedulers for scheduler in schedulers[name]]
        states = [state for name in states or () for state in states[name]]
    pairs = [(scheduler, state) for scheduler, state in zip(schedulers or (), states or ())
             if not isinstance(scheduler, ClosedFormLR)]
    changed = [f'{type(scheduler).__name__}: {", ".join(found)}' for scheduler, state in pairs
               if (found := changed_settings(scheduler, state))]
    if changed:
        print_log(f'The checkpoint decides the schedule, not the config: {"; ".join(changed)}. For the schedule of the '
                  'config, start a new run with load_from instead of resuming', logger='current', level=logging.WARNING)
