"""Pseudo labels of a whole data set, from image labels and CAMs."""

import copy
import logging
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Optional, Union

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.dist import all_gather_object, broadcast_object_list, get_dist_info, get_rank
from mmengine.logging import print_log
from torch import nn

from mmwsss.datasets import ImageLabelDataset
from mmwsss.models import backbone_precision, check_precision
from mmwsss.models.label_steps import LabelBatch
from mmwsss.utils import check_output, image_size
from mmwsss.utils.console import notify
from mmwsss.utils.errors import UserError
from mmwsss.utils.progress import ProgressLine
from mmwsss.utils.signals import finish_first, raise_if_stopped, until_stopped

from .folder import MANIFEST, LabelFolder
from .label_cfg import LabelOutput, LabelPlan
from .shard import Shard
from .writer import LabelWriter, PseudoLabelError, WriteTask

__all__ = ['PseudoLabelSummary', 'estimate_map_bytes', 'make_pseudo_labels']

PathLike = Union[str, os.PathLike]
_MAX_CLASSES = 254
_LARGE = 4 * 2**30


@dataclass
class PseudoLabelSummary:
    """The results of a run, added up over processes.

    Attributes:
        num_written (int): Label maps made by this run.
        num_kept (int): Finished ones that were there before.
        seconds (float): Duration.
        pixels (np.ndarray): (256,) int64, pixels of each value over all label maps of the data set.
        images (np.ndarray): (256,) int64, label maps in which each value occurs.
    """

    num_written: int = 0
    num_kept: int = 0
    seconds: float = 0.
    pixels: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    images: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))

    def count(self, pixels: np.ndarray, written: bool) -> None:
        """Add a label map by its pixels of each value, (256,)."""
        self.num_written += written
        self.num_kept += not written
        self.pixels += pixels
        self.images += pixels > 0

    def merge(self, other: 'PseudoLabelSummary') -> None:
        """Add the share of another process."""
        self.num_written += other.num_written
        self.num_kept += other.num_kept
        self.seconds = max(self.seconds, other.seconds)
        self.pixels += other.pixels
        self.images += other.images

    def over_processes(self) -> 'PseudoLabelSummary':
        """Return the sum over all processes, the same in each; waits for the last one."""
        total = copy.deepcopy(self)
        for rank, other in enumerate(all_gather_object(self)):
            if rank != get_rank():
                total.merge(other)
        return total


def make_pseudo_labels(model: nn.Module,
                       dataset: ImageLabelDataset,
                       out_dir: PathLike,
                       label_cfg: Mapping,
                       provenance: Optional[dict] = None,
                       workers: int = 0,
                       overwrite: bool = False,
                       refresh: bool = False,
                       inputs: Iterable[PathLike] = (),
                       shard: Optional[Shard] = None,
                       amp: Optional[str] = None) -> PseudoLabelSummary:
    """Write the pseudo label of every image of a data set.

    Only image labels are used, never masks. Finished label maps are kept, so an interrupted run resumes
    where it stopped; files appear whole or not at all, and damaged ones are made again. In a distributed
    run every process calls this and takes its share of the images.

    Args:
        model (nn.Module): In eval mode: a CAM model, as from :func:`mmwsss.apis.init_model`, or an mmseg segmentor;
            for a random walk of saved maps an :class:`~mmwsss.models.AffinityNet`.
        dataset (ImageLabelDataset): The images and their labels, with an inference pipeline; see
            :func:`mmwsss.apis.labelled_images`.
        out_dir (str or PathLike): Folder for ``<image id>.png`` (palette PNG: 0 background, c + 1 class, 255
            ignored) at the size of the image, ``pseudo_labels.json`` and, for every further output of ``label_cfg``,
            ``<output>/<image id>.npz``.
        label_cfg (Mapping): How maps become labels; see :func:`~mmwsss.pseudo_labels.read_label_cfg` and, for the
            flags of the tool, :func:`~mmwsss.pseudo_labels.expand_short_forms`.
        provenance (dict, optional): What else determines the labels, such as the hash of the checkpoint;
            a folder made with other settings or another provenance is refused.
        workers (int): Processes that run CRF and write files beside the network; 0 for none.
        overwrite (bool): Remove labels made with other settings, rather than refuse.
        refresh (bool): Replace labels made with other settings one by one, so that readers of the folder always find
            a whole one.
        inputs (Iterable[str or PathLike]): Files and folders that the run reads beside the data, such as the
            checkpoint; ``out_dir`` must not overlap with them.
        shard (Shard, optional): Label only the images of this shard, beside other runs that fill the same folder with
            the others. The number of shards may change from run to run.
        amp (str, optional): ``'bf16'`` or ``'fp16'``: run the backbone of ``model`` in this precision; see
            :func:`mmwsss.models.backbone_precision`. The manifest records it.

    Returns:
        PseudoLabelSummary: The same in every process; of a shard, that of its own images.

    Raises:
        FileNotFoundError: Class maps of a folder are missing.
        OutputError: The folder overlaps with an input, or holds files that are not proven to be ours.
        TypeError: The model gives no maps, or the data set no image labels.
        ValueError: The folder holds labels made with other settings; model or maps and data differ in the number
            of classes; ``label_cfg`` is wrong; ``shard`` is given with ``overwrite`` or ``refresh``; or the device
            does not compute in the precision.
        PseudoLabelError: An image cannot be read or its label not be written; the message names it.
        Stopped: A signal asked to stop; the images that had begun are finished.
    """
    start = time.perf_counter()
    if shard is not None and (overwrite or refresh):
        raise ValueError('a shard cannot remove or replace labels that the other shards may be writing (--shard with '
                         '--overwrite): choose another folder, or first run it without a shard')
    _check_data(dataset)
    plan = LabelPlan(label_cfg, model, len(dataset.classes))
    _check_classes(model, dataset, plan)
    image_ids, (rank, world_size) = dataset.image_ids, get_dist_info()
    labeled = np.flatnonzero(dataset.gt_labels.any(1))
    plan.source.check(dataset.classes, [image_ids[k] for k in labeled], dataset.gt_labels[labeled])
    check_precision(amp, model)
    precision = {} if amp is None else {'amp': amp}
    decisive = {'label_cfg': plan.identity(), 'classes': list(dataset.classes), **precision, **(provenance or {})}
    folder = LabelFolder(out_dir, decisive, plan.map_formats)

    def prepare() -> None:
        read = [*_paths_of(dataset), *plan.source.paths, *inputs]
        check_output(out_dir, read, None if shard else MANIFEST, 'the folder for pseudo labels')
        if shard is None:
            folder.prepare(image_ids, overwrite, refresh)
        else:
            folder.join(image_ids, [image_ids[index] for index in shard.images(len(image_ids))])

    _on_first_rank(prepare)
    share = shard or Shard(1, 1)
    own = share.images(len(image_ids), rank, world_size)
    summary, pending = _find_pending(folder, image_ids, own)
    if plan.map_formats and rank == 0:
        _announce_maps(dataset, pending, plan.outputs, world_size * share.count, folder)
    palette = dataset.metainfo.get('palette') or ()
    bar = ProgressLine('pseudo labels', len(own), summary.num_kept, enabled=rank == 0)
    with (backbone_precision(model, amp), finish_first(), bar,
          LabelWriter(plan.outputs, palette, workers) as writer):
        for pixels in writer.run(until_stopped(_tasks(plan, dataset, pending, folder, image_ids))):
            summary.count(pixels, written=True)
            bar.advance()
    raise_if_stopped()
    summary.seconds = time.perf_counter() - start
    total = summary.over_processes()
    _on_first_rank(folder.finish if shard is None else lambda: folder.require_settings(image_ids))
    return total


def estimate_map_bytes(dataset: ImageLabelDataset, indices: Sequence[int], outputs: Mapping[str, LabelOutput],
                       sample: int = 100) -> Optional[int]:
    """Estimate an upper bound of the size of stored class activation maps from some images.

    Args:
        dataset (ImageLabelDataset): The images and their labels.
        indices (Sequence[int]): Those whose maps will be stored.
        outputs (Mapping[str, LabelOutput]): Outputs by name; those with labels do not count.
        sample (int): How many images to look at, spread evenly.

    Returns:
        int: Bytes before compression; None where the images are on no disk of this machine.
    """
    stored = [output for output in outputs.values() if output.pipeline.labeler is None]
    if not len(indices) or not stored:
        return 0
    classes = dataset.gt_labels.sum(1)
    chosen = [indices[i] for i in np.linspace(0, len(indices) - 1, min(sample, len(indices))).astype(int)]
    total = 0
    for index in chosen:
        path = dataset.get_data_info(index)['img_path']
        if not os.path.isfile(path):
            return None
        height, width = image_size(path)
        for output in stored:
            planes = int(classes[index]) + any('background' in step.gives for step in output.pipeline.steps)
            bytes_each = 2 if output.format == 'npz' else 4
            total += bytes_each * planes * -(-height // output.stride) * -(-width // output.stride)
    return total * len(indices) // len(chosen)


def _check_data(dataset: Any) -> None:
    if not isinstance(dataset, ImageLabelDataset):
        raise TypeError('pseudo labels need image labels: wrap the data set into an ImageLabelDataset, got '
                        f'{type(dataset).__name__}')
    if len(dataset.classes) > _MAX_CLASSES:
        raise UserError(f'the data set has {len(dataset.classes)} classes; label maps have 8 bits and hold at most '
                        f'{_MAX_CLASSES} classes beside the background (0) and ignored pixels (255)')


def _check_classes(model: nn.Module, dataset: ImageLabelDataset, plan: LabelPlan) -> None:
    """Compare the classes of a model whose maps are labeled with those of the data."""
    if not plan.source.uses_model:
        return
    trained = list((getattr(model, 'dataset_meta', None) or {}).get('classes') or ())[1:]
    if trained and trained != list(dataset.classes):
        differing = [f'{a!r} and {b!r}' for a, b in zip(trained, dataset.classes) if a != b]
        counts = f'{len(trained)} classes against {len(dataset.classes)}'
        message = f"the model's classes are not those of the data: {counts}, {', '.join(differing[:3])}"
        if len(trained) != len(dataset.classes):
            raise ValueError(message)
        print_log(message, logger='current', level=logging.WARNING)


def _paths_of(dataset: Any) -> Iterator[str]:
    """Return the files and folders that a data set and those inside it read."""
    for name in ('ann_file', 'label_file'):
        if isinstance(getattr(dataset, name, None), (str, os.PathLike)):
            yield str(getattr(dataset, name))
    prefixes = getattr(dataset, 'data_prefix', None) or {}
    yield from (value for value in prefixes.values() if isinstance(value, str) and value)
    inner = getattr(dataset, 'datasets', None) or ([dataset.dataset] if hasattr(dataset, 'dataset') else [])
    for part in inner:
        yield from _paths_of(part)


def _on_first_rank(action: Callable[[], None]) -> None:
    """Run an action in the first process while the others wait; if it fails, raise its error in all."""
    outcome: list[Optional[Exception]] = [None]
    if get_dist_info()[0] == 0:
        try:
            action()
        except Exception as error:
            outcome = [error]
    broadcast_object_list(outcome)
    if outcome[0] is not None:
        raise outcome[0]


def _find_pending(folder: LabelFolder, image_ids: Sequence[str],
                  own: Iterable[int]) -> tuple[PseudoLabelSummary, list[int]]:
    """Count the finished label maps among ``own`` and list the others."""
    summary, pending = PseudoLabelSummary(), []
    with ThreadPoolExecutor(min(8, 2 * (os.cpu_count() or 1))) as pool:
        for index, pixels in zip(own, pool.map(lambda i: folder.pixel_counts(image_ids[i]), own)):
            if pixels is None:
                pending.append(index)
            else:
                summary.count(pixels, written=False)
    return summary, pending


def _announce_maps(dataset: ImageLabelDataset, pending: Sequence[int], outputs: Mapping[str, LabelOutput],
                   num_processes: int, folder: LabelFolder) -> None:
    """Log the estimated size of the CAMs, as a warning if the disk is too small or the size is above 4 GiB."""
    size = estimate_map_bytes(dataset, pending, outputs)
    if size is None:
        return
    size *= num_processes
    free = shutil.disk_usage(folder.path).free
    compressed = any(output.format == 'npz' for output in outputs.values())
    form = 'up to {:,.1f} MiB before compression' if compressed else 'about {:,.1f} MiB'
    message = (f'the CAMs take {form.format(size / 2**20)}, in {folder.path}, where {free / 2**20:,.0f} MiB are free; '
               '--cam-stride makes them smaller')
    if size > min(free, _LARGE):
        print_log(message, logger='current', level=logging.WARNING)
    else:
        notify(message)


def _tasks(plan: LabelPlan, dataset: ImageLabelDataset, pending: Sequence[int], folder: LabelFolder,
          image_ids: Sequence[str]) -> Iterator[WriteTask]:
    """Run the network and the steps on its device over the pending images."""
    image_labels = dataset.gt_labels
    for index, data in _prefetched(dataset, pending):
        image_id = image_ids[index]
        batch = _scores(plan, data, np.flatnonzero(image_labels[index]), image_id)
        if not torch.isfinite(batch.scores).all():
            raise PseudoLabelError(f'the CAMs of image {image_id} are NaN or infinite: has the training '
                                   'diverged, or is the checkpoint damaged?')
        paths = {'labels': folder.label_path(image_id), **folder.output_paths(image_id)}
        yield WriteTask.from_maps(image_id, batch, plan.outputs, paths, folder.origin)


def _scores(plan: LabelPlan, data: dict, channels: np.ndarray, image_id: str) -> LabelBatch:
    """Compute the maps of an image; name it if the network fails on it."""
    try:
        return plan.source(data, channels, image_id)
    except RuntimeError as error:
        shape = tuple(data['data_samples'][0].metainfo.get('ori_shape', ()))
        raise PseudoLabelError(f'image {image_id} of {" x ".join(map(str, shape[:2]))} pixels cannot be processed: '
                               f'{error}') from error


def _prefetched(dataset: ImageLabelDataset, indices: Sequence[int], depth: int = 4) -> Iterator[tuple[int, dict]]:
    """Yield (index, collated sample), reading a few samples ahead in threads."""
    with ThreadPoolExecutor(2) as pool:
        ahead: deque = deque()
        rest = iter(indices)
        try:
            while True:
                while len(ahead) < depth and (index := next(rest, None)) is not None:
                    ahead.append((index, pool.submit(dataset.__getitem__, index)))
                if not ahead:
                    return
                index, sample = ahead.popleft()
                yield index, pseudo_collate([_loaded(sample)])
        finally:
            for _, sample in ahead:
                sample.cancel()


def _loaded(sample: Future) -> Any:
    """Wait for a sample of the data set, which names the image that it cannot process."""
    try:
        return sample.result()
    except RuntimeError as error:
        raise PseudoLabelError(str(error)) from error
