"""Check a run at its start, so that it does not fail or disappoint hours later."""

import logging
from collections.abc import Iterator
from itertools import islice
from typing import Any, Optional

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, Runner
from torch import nn
from torch.utils.data import DataLoader

from mmwsss.datasets import ImageLabelDataset
from mmwsss.registry import HOOKS
from mmwsss.utils import first_few, image_size
from mmwsss.utils.errors import UserError

__all__ = ['RunCheckHook']

_MAX_BATCHES = 2000


@HOOKS.register_module()
class RunCheckHook(Hook):
    """Refuse evaluation batches that mix sizes and data with other classes than the model's; warn of late warm-ups.

    A warm-up is late if it does not end within the run.

    ``tools/train.py`` and ``tools/test.py`` add this hook to every run.
    """

    def before_run(self, runner: Runner) -> None:
        """Check the loops and schedules of the run.

        Raises:
            UserError: A batch of the validation or test data has images of different sizes, or data have another
                number of classes than the head of the model; the message names images or classes, and the setting.
        """
        for split, loop in (('train', runner._train_loop), ('val', runner._val_loop), ('test', runner._test_loop)):
            if isinstance(loop, BaseLoop):
                _check_classes(runner.model, loop.dataloader.dataset, split)
                if split != 'train':
                    _check_batches(loop.dataloader, split)
        if isinstance(runner._train_loop, BaseLoop):
            _check_warmups(runner)


def _check_classes(model: nn.Module, dataset: Any, split: str) -> None:
    """Compare the classes of image labels with those that the model's head scores."""
    head = getattr(model.module if is_model_wrapper(model) else model, 'cam_head', None)
    known = getattr(head, 'num_classes', None)
    if known is None or not isinstance(dataset, ImageLabelDataset) or len(dataset.classes) == known:
        return
    raise UserError(f'the {split} data have {len(dataset.classes)} classes ({first_few(dataset.classes)}), but '
                    f'model.cam_head.num_classes is {known}: name the classes with --classes, as a file or separated '
                    'by commas, so that the model fits them')


def _check_batches(loader: DataLoader, split: str) -> None:
    """Look for a batch whose images differ in size on disk, and run the pipeline on two of them."""
    if (loader.batch_size or 1) == 1 or loader.batch_sampler is None:
        return
    for batch in islice(loader.batch_sampler, _MAX_BATCHES):
        pair = _pair_of_two_sizes(loader.dataset, batch)
        if pair is None:
            continue
        shapes = [_input_shape(loader.dataset[index]) for index in pair]
        if shapes[0] != shapes[1]:
            names = ' and '.join(loader.dataset.get_data_info(index)['img_path'] for index in pair)
            raise UserError(f'{split}_dataloader.batch_size is {loader.batch_size}, but images of a batch differ in '
                            f'size: {names}. Set {split}_dataloader.batch_size=1, or let the pipeline resize all '
                            'images to one size')
        return  # The pipeline makes the sizes equal.


def _pair_of_two_sizes(dataset: Any, batch: list) -> Optional[tuple[int, int]]:
    """Return two samples of a batch whose images differ in size; None if there are none or sizes are unknown."""
    sizes = dict(_sizes(dataset, batch))
    first = next(iter(sizes), None)
    other = next((index for index, size in sizes.items() if size != sizes[first]), None)
    return None if other is None else (first, other)


def _sizes(dataset: Any, batch: list) -> Iterator[tuple[int, tuple[int, int]]]:
    """Yield samples and the sizes of their images, as far as these can be read here."""
    for index in batch:
        try:
            yield index, image_size(dataset.get_data_info(index)['img_path'])
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            continue  # Whoever loads the image reports what is wrong with it.


def _input_shape(sample: Any) -> tuple[int, ...]:
    inputs = sample['inputs']
    return tuple((inputs['main'] if isinstance(inputs, dict) else inputs).shape[-2:])


def _check_warmups(runner: Runner) -> None:
    """Warn of schedules whose warm-up is as long as the run or longer."""
    schedulers = runner.param_schedulers or []
    groups = schedulers.values() if isinstance(schedulers, dict) else [schedulers]
    for scheduler in (scheduler for group in groups for scheduler in group):
        warmup, by_epoch = getattr(scheduler, 'warmup', 0), getattr(scheduler, 'by_epoch', True)
        length, unit = (runner.max_epochs, 'epochs') if by_epoch else (runner.max_iters, 'iterations')
        if warmup and length and warmup >= length:
            print_log(f'{type(scheduler).__name__} warms up for {warmup} {unit}, but training ends after {length}: the '
                      'learning rate does not reach its base value. Set a shorter param_scheduler.0.warmup or train '
                      'longer, unless this is a trial', logger='current', level=logging.WARNING)
