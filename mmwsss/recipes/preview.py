"""What a preview says about a stage: its lists of images, its batches and the length of its training."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Optional

from mmengine.config import Config

from mmwsss.datasets import iterations_per_epoch, read_ids
from mmwsss.datasets.config import dataset_configs
from mmwsss.datasets.published_lists import published_list_size
from mmwsss.utils.commands import relative_path

__all__ = ['count_images', 'describe_list', 'describe_training']


def count_images(path: Path, cfg: Config) -> tuple[Optional[int], str]:
    """Return the number of images in a list and where the number comes from.

    Args:
        path (Path): The list.
        cfg (Config): A config with datasets of the kind that the list belongs to.

    Returns:
        tuple: The number of its lines or, if there is no such list, of the published list of this name; None if it is
        unknown. A note for the user, empty if the list was read.
    """
    if path.is_file():
        return len(read_ids(path)), ''
    for _, dataset, _ in dataset_configs(cfg):
        size = published_list_size({**dataset, 'ann_file': path.name})
        if size is not None:
            return size, ' (as published; there is no such list yet)'
    return None, ' (there is no such list yet)'


def describe_list(path: Path, cfg: Config) -> str:
    """Return a list of images and how many it has.

    Args:
        path (Path): The list.
        cfg (Config): A config with datasets of the kind that the list belongs to.

    Returns:
        str: For instance ``ImageSets/train.txt, 82,081 images (as published; there is no such list yet)``.
    """
    count, note = count_images(path, cfg)
    number = 'an unknown number of' if count is None else f'{count:,}'
    return f'{relative_path(path)}, {number} images{note}'


def describe_training(cfg: Config, num_processes: int) -> list[str]:
    """Return lines about the images, the batches and the length of a training.

    Args:
        cfg (Config): The config, in which ``train_dataloader.batch_size`` is the number of images of all processes.
        num_processes (int): Number of processes that share a batch.

    Returns:
        list[str]: Lines that begin with what they are about: ``images:``, ``batch:``, ``length:``.
    """
    dataset, wrappers = next((leaf, around) for split, leaf, around in dataset_configs(cfg) if split == 'train')
    path = Path(dataset.get('data_root') or '', dataset.get('ann_file') or '')
    empty = any(wrapper.get('empty') == 'keep' for wrapper in wrappers)
    images = describe_list(path, cfg) + (', also those without a class' if empty else '')
    count, _ = count_images(path, cfg)
    return [f'images: {images}', f'batch: {_describe_batch(cfg, num_processes)}',
            f'length: {_describe_length(cfg, count, num_processes)}']


def _describe_batch(cfg: Config, num_processes: int) -> str:
    """Return the images of a batch, how processes divide it, and how losses group it."""
    size = cfg.train_dataloader.batch_size
    text = f'{size} images, {num_processes} x {size // num_processes}'
    updates = cfg.get('optim_wrapper', {}).get('accumulative_counts', 1)
    if updates > 1:
        text += f'; an update adds {updates} batches, {updates * size} images'
    groups = sorted({min(group, size // num_processes) for group in _values_of(cfg.model, 'group_size')})
    return text + ''.join(f'; losses count in groups of {group} image{"s" if group > 1 else ""}' for group in groups)


def _describe_length(cfg: Config, num_images: Optional[int], num_processes: int) -> str:
    """Return the length of a training in epochs and iterations."""
    size, loop = cfg.train_dataloader.batch_size, cfg.train_cfg
    updates = cfg.get('optim_wrapper', {}).get('accumulative_counts', 1)
    if 'max_epochs' in loop:
        if num_images is None:
            return f'{loop.max_epochs:,} epochs'
        each = iterations_per_epoch(num_images, size, num_processes, cfg.train_dataloader.get('drop_last', False))
        return f'{loop.max_epochs:,} epochs of {each:,} iterations, {loop.max_epochs * each:,} in all'
    text = f'{loop.max_iters:,} iterations'
    if updates > 1:
        text += f', {loop.max_iters // updates:,} updates'
    return text if num_images is None else f'{text}, {loop.max_iters * size / num_images:,.1f} epochs'


def _values_of(node: Any, key: str) -> Iterator[Any]:
    """Yield the values of a key at any depth, without those that are None."""
    if isinstance(node, Mapping):
        if node.get(key) is not None:
            yield node[key]
        for value in node.values():
            yield from _values_of(value, key)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from _values_of(value, key)
