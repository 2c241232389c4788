"""Write the pseudo labels of a data set in the run that trains the model."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch
from mmengine.dist import broadcast, broadcast_object_list
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from mmwsss.checkpoints import weights_hash
from mmwsss.datasets import ImageLabelDataset, config_hash, labelled_images
from mmwsss.models import check_precision
from mmwsss.pseudo_labels import expand_short_forms, make_pseudo_labels
from mmwsss.pseudo_labels.label_cfg import LabelPlan, check_keys
from mmwsss.registry import HOOKS

__all__ = ['PseudoLabelHook']


@HOOKS.register_module()
class PseudoLabelHook(Hook):
    """Write pseudo labels after training, or refresh them while it goes on.

    The model is a CAM model, or any mmseg segmentor, whose own predictions among the image's labels then become the
    labels (self-training). Labels are replaced one by one, whole files only, so that a
    :class:`~mmwsss.datasets.PseudoLabelDataset` of the same run reads from the folder meanwhile. In a distributed run
    each process makes its share. Training itself is not touched: neither weights nor buffers nor random states.

    Labels know the weights that made them. A run that was killed while it wrote, and is resumed from the checkpoint
    of that iteration, continues with the unfinished ones: the hook runs after the one that saves checkpoints.

    Args:
        out_dir (str): Folder of the labels, relative to the run's ``work_dir``. See
            :func:`mmwsss.apis.make_pseudo_labels` for its content. Labels in it that other settings or weights made
            are replaced one by one; a folder that mmwsss has not written is refused.
        dataset (dict, optional): Config of an ``ImageLabelDataset``. By default that of the training data, which may
            lie inside other wrappers. The pipeline is that of the config's test data.
        interval (int, optional): Write every so many epochs or iterations of training; by default never.
        by_epoch (bool): Whether ``interval`` counts epochs.
        after_train (bool): Write at the end of training.
        workers (int): Processes that run CRF and write files beside the network, per process of the run.
        label_cfg (dict, optional): How maps become labels; see :func:`mmwsss.apis.read_label_cfg`.
        amp (str, optional): ``'bf16'`` or ``'fp16'``: run the backbone in this precision; see
            :func:`mmwsss.models.backbone_precision`.
        **short_forms: Instead of ``label_cfg``, arguments of :func:`mmwsss.apis.expand_short_forms`; ``threshold``
            defaults to the model's ``test_cfg.threshold``.

    Raises:
        TypeError: A short form is unknown.
        ValueError: A setting is wrong, or the hook would never write.
    """

    # After CheckpointHook.
    priority = 'LOWEST'

    def __init__(self,
                 out_dir: str = 'pseudo_labels',
                 dataset: Optional[dict] = None,
                 interval: Optional[int] = None,
                 by_epoch: bool = True,
                 after_train: bool = True,
                 workers: int = 0,
                 label_cfg: Optional[dict] = None,
                 amp: Optional[str] = None,
                 **short_forms: Any) -> None:
        if interval is not None and interval < 1:
            raise ValueError(f'interval must be 1 or more, got {interval}')
        if interval is None and not after_train:
            raise ValueError('PseudoLabelHook would never write: give interval, or after_train=True')
        if label_cfg is not None and short_forms:
            raise ValueError('PseudoLabelHook takes label_cfg or short forms, got label_cfg and '
                             f'{", ".join(short_forms)}')
        check_precision(amp)
        check_keys(label_cfg or expand_short_forms({'threshold': 0}, **short_forms))
        self.out_dir = out_dir
        self.dataset = dataset
        self.interval = interval
        self.by_epoch = by_epoch
        self.writes_after_train = after_train
        self.workers = workers
        self.label_cfg = label_cfg
        self.amp = amp
        self.short_forms = short_forms
        self._images: Any = None
        self._written: Optional[str] = None

    def before_train(self, runner: Runner) -> None:
        """Check settings and data; continue the labels of the iteration from which the run is resumed."""
        model = _unwrapped(runner.model)
        check_precision(self.amp, model)
        label_cfg = self._label_cfg(model)
        LabelPlan(label_cfg, model, len(self._dataset(runner).classes))
        done = runner.epoch if self.by_epoch else runner.iter
        if self.interval and done and done % self.interval == 0:
            self.write(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Write every ``interval`` epochs."""
        if self.interval and self.by_epoch and self.every_n_epochs(runner, self.interval):
            self.write(runner)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: Optional[dict] = None) -> None:
        """Write every ``interval`` iterations."""
        if self.interval and not self.by_epoch and self.every_n_train_iters(runner, self.interval):
            self.write(runner)

    def after_train(self, runner: Runner) -> None:
        """Write at the end."""
        if self.writes_after_train:
            self.write(runner)

    def write(self, runner: Runner) -> None:
        """Make pseudo labels with the current weights; do nothing if this run has made them already.

        Args:
            runner (Runner): The run.

        Raises:
            PseudoLabelError: An image cannot be read or its label not be written; the message names it.
            ValueError: The labels in the folder are of unknown origin, or the data do not fit the model.
        """
        model = _unwrapped(runner.model)
        weights = [weights_hash(model)]
        broadcast_object_list(weights)  # buffers may differ between processes
        if weights[0] == self._written:
            return
        provenance = {'model': config_hash(runner.cfg), 'weights': weights[0]}
        folder = Path(runner.work_dir, self.out_dir)
        with _undisturbed(model):
            summary = make_pseudo_labels(model, self._dataset(runner), folder, self._label_cfg(model), provenance,
                                         self.workers, refresh=True, amp=self.amp)
        self._written = weights[0]
        print_log(f'pseudo labels in {folder}: {summary.num_written} made in {summary.seconds:.1f} s, '
                  f'{summary.num_kept} were there; background {_share(summary.pixels, 0)}, ignored '
                  f'{_share(summary.pixels, 255)}', logger='current')

    def _label_cfg(self, model: nn.Module) -> dict:
        return self.label_cfg or expand_short_forms(getattr(model, 'test_cfg', None), **self.short_forms)

    def _dataset(self, runner: Runner) -> ImageLabelDataset:
        if self._images is None:
            self._images = labelled_images(runner.cfg, dataset=self.dataset)
        return self._images


def _unwrapped(model: nn.Module) -> nn.Module:
    while is_model_wrapper(model):
        model = model.module
    return model


def _share(pixels: np.ndarray, value: int) -> str:
    return f'{100 * pixels[value] / max(pixels.sum(), 1):.1f} %'


@contextmanager
def _undisturbed(model: nn.Module) -> Iterator[None]:
    """Use evaluation mode and the first process's buffers in the block; restore modes, buffers and random states."""
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    python_state, numpy_state = random.getstate(), np.random.get_state()
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        model.eval()
        try:
            for buffer, _ in buffers:
                broadcast(buffer)
            yield
        finally:
            for module, training in modes:
                module.training = training
            for buffer, value in buffers:
                buffer.copy_(value)
            random.setstate(python_state)
            np.random.set_state(numpy_state)
