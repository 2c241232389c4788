"""Pseudo labels of a whole data set, from image labels and class activation maps."""

import copy
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Optional, Union

import mmcv
import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.dist import all_gather_object, broadcast_object_list, get_dist_info
from mmengine.logging import print_log
from PIL import Image
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from mmwsss.datasets import ImageLabelDataset
from mmwsss.models import PixelAdaptiveRefinement
from mmwsss.models.utils import refined_pseudo_labels

from .inference import cams_at_image_size
from .label_folder import LabelFolder
from .label_writer import LabelWriter
from .labelling import LabelJob, LabelSettings

__all__ = ['LabelSummary', 'estimate_cam_bytes', 'make_pseudo_labels']


@dataclass
class LabelSummary:
    """What a run did, added up over processes.

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

    def merge(self, other: 'LabelSummary') -> None:
        """Add the share of another process."""
        self.num_written += other.num_written
        self.num_kept += other.num_kept
        self.seconds = max(self.seconds, other.seconds)
        self.pixels += other.pixels
        self.images += other.images


def make_pseudo_labels(model: nn.Module,
                       dataset: ImageLabelDataset,
                       out_dir: Union[str, os.PathLike],
                       settings: LabelSettings,
                       provenance: Optional[dict] = None,
                       workers: int = 0,
                       overwrite: bool = False) -> LabelSummary:
    """Write the pseudo label of every image of a data set.

    Only image labels are looked at, never masks. Finished label maps are kept, so an interrupted run goes
    on where it stopped; files appear whole or not at all, and damaged ones are made again. In a distributed
    run every process calls this and takes its share of the images.

    Args:
        model (nn.Module): A CAM model from :func:`mmwsss.apis.init_model`.
        dataset (ImageLabelDataset): The images and their labels, with an inference pipeline; see
            :func:`mmwsss.apis.labelled_images`.
        out_dir (str or PathLike): Gets ``<image id>.png`` (palette PNG: 0 background, c + 1 class, 255
            ignored) at the size of the image, ``pseudo_labels.json`` and, where asked for,
            ``cams/<image id>.npz``.
        settings (LabelSettings): How maps become labels.
        provenance (dict, optional): What else decides about the labels, such as the hash of the checkpoint;
            a folder made with other settings or another provenance is refused.
        workers (int): Processes that run CRF and write files beside the network; 0 for none.
        overwrite (bool): Remove labels made with other settings, rather than refuse.

    Returns:
        LabelSummary: The same in every process.

    Raises:
        TypeError: The model gives no CAMs, or the data set no image labels.
        ValueError: The folder holds labels made with other settings, or model and data differ in the number
            of classes.
        RuntimeError: An image cannot be read or its label not be written; the message names it.
    """
    _check_parts(model, dataset)
    start = time.perf_counter()
    rank, world_size = get_dist_info()
    image_ids = dataset.image_ids
    decisive = {**settings.as_dict(), 'classes': list(dataset.classes), **(provenance or {})}
    folder = LabelFolder(out_dir, decisive, settings.save_cams)
    _on_first_rank(lambda: folder.prepare(image_ids, overwrite))
    own = range(rank, len(image_ids), world_size)
    summary, pending = _find_pending(folder, image_ids, own)
    if settings.save_cams and rank == 0:
        _announce_cams(dataset, pending, settings.cam_stride, world_size, folder)
    palette = dataset.metainfo.get('palette') or ()
    with _progress(rank == 0) as bar, LabelWriter(settings, palette, workers) as writer:
        task = bar.add_task('pseudo labels', total=len(own), completed=summary.num_kept)
        for job in _jobs(model, dataset, pending, settings, folder, image_ids):
            for pixels in writer.write(job):
                summary.count(pixels, written=True)
                bar.advance(task)
        for pixels in writer.flush():
            summary.count(pixels, written=True)
            bar.advance(task)
    summary.seconds = time.perf_counter() - start
    return _merged(summary)


def estimate_cam_bytes(dataset: ImageLabelDataset, indices: Sequence[int], stride: int = 1,
                       sample: int = 100) -> int:
    """Upper estimate of what stored class maps take, from the sizes of some images.

    Args:
        dataset (ImageLabelDataset): The images and their labels.
        indices (Sequence[int]): Those whose maps will be stored.
        stride (int): ``cam_stride``.
        sample (int): How many images to look at, spread evenly.

    Returns:
        int: Bytes before compression, two per pixel and present class.
    """
    if not len(indices):
        return 0
    classes = dataset.gt_labels.sum(1)
    chosen = [indices[i] for i in np.linspace(0, len(indices) - 1, min(sample, len(indices))).astype(int)]
    total = 0
    for index in chosen:
        with Image.open(dataset.get_data_info(index)['img_path']) as image:
            width, height = image.size
        total += int(classes[index]) * -(-height // stride) * -(-width // stride) * 2
    return total * len(indices) // len(chosen)


def _check_parts(model: nn.Module, dataset: ImageLabelDataset) -> None:
    if not hasattr(model, 'multi_scale_cams'):
        raise TypeError(f'{type(model).__name__} gives no CAMs: it has no multi_scale_cams')
    if not isinstance(dataset, ImageLabelDataset):
        raise TypeError('pseudo labels need image labels: wrap the data set into an ImageLabelDataset, got '
                        f'{type(dataset).__name__}')
    trained = list((getattr(model, 'dataset_meta', None) or {}).get('classes') or ())[1:]
    if trained and trained != list(dataset.classes):
        differing = [f'{a!r} and {b!r}' for a, b in zip(trained, dataset.classes) if a != b]
        counts = f'{len(trained)} classes against {len(dataset.classes)}'
        message = f"the model's classes are not those of the data: {counts}, {', '.join(differing[:3])}"
        if len(trained) != len(dataset.classes):
            raise ValueError(message)
        print_log(message, logger='current', level=logging.WARNING)


def _on_first_rank(action: Callable[[], None]) -> None:
    """Let the first process act and all wait for it; if it fails, all raise its error."""
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
                  own: Iterable[int]) -> tuple[LabelSummary, list[int]]:
    """Count the finished label maps among ``own`` and list the others."""
    summary, pending = LabelSummary(), []
    with ThreadPoolExecutor(min(8, 2 * (os.cpu_count() or 1))) as pool:
        for index, pixels in zip(own, pool.map(lambda i: folder.pixel_counts(image_ids[i]), own)):
            if pixels is None:
                pending.append(index)
            else:
                summary.count(pixels, written=False)
    return summary, pending


def _announce_cams(dataset: ImageLabelDataset, pending: Sequence[int], stride: int, world_size: int,
                   folder: LabelFolder) -> None:
    size = estimate_cam_bytes(dataset, pending, stride) * world_size / 2**20
    print_log(f'the class maps take up to {size:,.1f} MiB before compression, in {folder.path}; '
              '--cam-stride makes them smaller', logger='current')


def _jobs(model: nn.Module, dataset: ImageLabelDataset, pending: Sequence[int], settings: LabelSettings,
          folder: LabelFolder, image_ids: Sequence[str]) -> Iterator[LabelJob]:
    """Run the network over the pending images."""
    refiner = PixelAdaptiveRefinement() if settings.post == 'par' else None
    for index, data in _prefetched(dataset, pending):
        cams, channels, sample = _present_cams(model, data, len(dataset.classes))
        labels = None
        if refiner is not None and len(channels):
            labels = _refined_labels(refiner, cams, channels, sample.img_path, settings)
        yield LabelJob(
            img_path=sample.img_path,
            cams=cams[0].float().cpu().numpy(),
            channels=channels.tolist(),
            labels=labels,
            label_path=folder.label_path(image_ids[index]),
            cams_path=folder.cams_path(image_ids[index]))


def _prefetched(dataset: ImageLabelDataset, indices: Sequence[int], depth: int = 4) -> Iterator[tuple]:
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
                yield index, pseudo_collate([sample.result()])
        finally:
            for _, sample in ahead:
                sample.cancel()


@torch.no_grad()
def _present_cams(model: nn.Module, data: dict, num_classes: int) -> tuple[Tensor, Tensor, Any]:
    """Maps (1, P, H, W) of the present classes at the size of the image, their channels (P,), the sample."""
    data = model.data_preprocessor(data, False)
    inputs, sample = data['inputs'], data['data_samples'][0]
    channels = sample.gt_label.nonzero().flatten()
    if not len(channels):
        return inputs.new_zeros(1, 0, *sample.ori_shape[:2]), channels, sample
    cams = model.multi_scale_cams(inputs)['cams']
    if cams.shape[1] != num_classes:
        raise ValueError(f'the model gives maps of {cams.shape[1]} classes, the data set has {num_classes}')
    return cams_at_image_size(cams[:, channels.to(cams.device)], sample.metainfo), channels, sample


def _refined_labels(refiner: PixelAdaptiveRefinement, cams: Tensor, channels: Tensor, img_path: str,
                    settings: LabelSettings) -> np.ndarray:
    """Labels (H, W) of maps (1, P, H, W) refined along the image."""
    image = mmcv.imread(img_path, channel_order='rgb')
    image = torch.from_numpy(image).permute(2, 0, 1)[None].to(cams) / 255
    high = settings.threshold if settings.high is None else settings.high
    present = cams.new_ones(1, len(channels))
    labels = refined_pseudo_labels(refiner, image, cams, present, high, settings.threshold)[0]
    values = torch.arange(256)
    values[1:len(channels) + 1] = channels.cpu() + 1
    return values[labels.cpu()].numpy()


def _progress(enabled: bool) -> Progress:
    columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, disable=not enabled)


def _merged(summary: LabelSummary) -> LabelSummary:
    total = copy.deepcopy(summary)
    for rank, other in enumerate(all_gather_object(summary)):
        if rank != get_dist_info()[0]:
            total.merge(other)
    return total
