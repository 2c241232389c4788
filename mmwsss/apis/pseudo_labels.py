"""Pseudo labels of a whole data set, from image labels and class maps."""

import logging
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Optional, Union

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.dist import broadcast_object_list, get_dist_info
from mmengine.logging import print_log
from PIL import Image
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from mmwsss.datasets import ImageLabelDataset
from mmwsss.models import PixelAdaptiveRefinement
from mmwsss.models.utils import refined_pseudo_labels

from .label_folder import LabelFolder
from .label_settings import LabelSettings
from .label_summary import LabelSummary
from .label_writer import LabelWriter
from .labelling import LabelJob, PseudoLabelError, read_image
from .map_sources import MapSource
from .saved_maps import SavedMaps, WalkSource

__all__ = ['estimate_map_bytes', 'make_pseudo_labels']


def make_pseudo_labels(model: nn.Module,
                       dataset: ImageLabelDataset,
                       out_dir: Union[str, os.PathLike],
                       settings: LabelSettings,
                       provenance: Optional[dict] = None,
                       workers: int = 0,
                       overwrite: bool = False,
                       refresh: bool = False,
                       cams: Union[str, os.PathLike, None] = None) -> LabelSummary:
    """Write the pseudo label of every image of a data set.

    Only image labels are looked at, never masks. Finished label maps are kept, so an interrupted run goes
    on where it stopped; files appear whole or not at all, and damaged ones are made again. In a distributed
    run every process calls this and takes its share of the images.

    Args:
        model (nn.Module): In eval mode: a CAM model, as from :func:`mmwsss.apis.init_model`, or an mmseg segmentor;
            for a random walk an :class:`~mmwsss.models.AffinityNet`.
        dataset (ImageLabelDataset): The images and their labels, with an inference pipeline; see
            :func:`mmwsss.apis.labelled_images`.
        out_dir (str or PathLike): Gets ``<image id>.png`` (palette PNG: 0 background, c + 1 class, 255
            ignored) at the size of the image, ``pseudo_labels.json`` and, where asked for, class maps
            ``<folder>/<image id>.npz`` in ``cams``, ``crf_1`` and so on.
        settings (LabelSettings): How maps become labels.
        provenance (dict, optional): What else decides about the labels, such as the hash of the checkpoint;
            a folder made with other settings or another provenance is refused.
        workers (int): Processes that run CRF and write files beside the network; 0 for none.
        overwrite (bool): Remove labels made with other settings, rather than refuse.
        refresh (bool): Replace labels made with other settings one by one, so that readers of the folder always find
            a whole one.
        cams (str or PathLike, optional): For a random walk: folder of the class maps that walk, see
            :class:`~mmwsss.apis.SavedMaps`.

    Returns:
        LabelSummary: The same in every process.

    Raises:
        FileNotFoundError: Class maps that are to walk are missing.
        TypeError: The model gives no maps, or the data set no image labels.
        ValueError: The folder holds labels made with other settings; model or maps and data differ in the number
            of classes; or ``cams`` is not given for a random walk, or for anything else.
        PseudoLabelError: An image cannot be read or its label not be written; the message names it.
    """
    settings = settings.for_model(model)
    _check_parts(model, dataset)
    maps = _maps_to_walk(settings, cams)
    start = time.perf_counter()
    rank, world_size = get_dist_info()
    image_ids = dataset.image_ids
    decisive = {**settings.as_dict(), 'classes': list(dataset.classes), **(provenance or {})}
    if maps is not None:
        maps.check(dataset.classes, [image_ids[k] for k in np.flatnonzero(dataset.gt_labels.any(1))])
        decisive['cams'] = maps.identity()
    folder = LabelFolder(out_dir, decisive, tuple(settings.map_folders), settings.cam_format)
    _on_first_rank(lambda: folder.prepare(image_ids, overwrite, refresh))
    own = range(rank, len(image_ids), world_size)
    summary, pending = _find_pending(folder, image_ids, own)
    if settings.map_folders and rank == 0:
        _announce_maps(dataset, pending, settings, world_size, folder)
    palette = dataset.metainfo.get('palette') or ()
    source = (MapSource(model, len(dataset.classes), settings.source) if maps is None else
              WalkSource(model, len(dataset.classes), settings, maps))
    with _progress(rank == 0) as bar, LabelWriter(settings, palette, workers) as writer:
        task = bar.add_task('pseudo labels', total=len(own), completed=summary.num_kept)
        for pixels in writer.run(_jobs(source, dataset, pending, settings, folder, image_ids)):
            summary.count(pixels, written=True)
            bar.advance(task)
    summary.seconds = time.perf_counter() - start
    total = summary.over_processes()
    _on_first_rank(folder.finish)
    return total


def estimate_map_bytes(dataset: ImageLabelDataset, indices: Sequence[int], settings: LabelSettings,
                       sample: int = 100) -> int:
    """Upper estimate of what stored class maps take, from the sizes of some images.

    Args:
        dataset (ImageLabelDataset): The images and their labels.
        indices (Sequence[int]): Those whose maps will be stored.
        settings (LabelSettings): Which maps, at which size and in which form; see ``for_model``.
        sample (int): How many images to look at, spread evenly.

    Returns:
        int: Bytes before compression.
    """
    if not len(indices):
        return 0
    classes = dataset.gt_labels.sum(1)
    chosen = [indices[i] for i in np.linspace(0, len(indices) - 1, min(sample, len(indices))).astype(int)]
    stride, planes = settings.cam_stride, 0
    for index in chosen:
        with Image.open(dataset.get_data_info(index)['img_path']) as image:
            width, height = image.size
        count = sum(int(classes[index]) + (alpha is not None) for alpha in settings.map_folders.values())
        planes += count * -(-height // stride) * -(-width // stride)
    return planes * (2 if settings.cam_format == 'npz' else 4) * len(indices) // len(chosen)


def _check_parts(model: nn.Module, dataset: ImageLabelDataset) -> None:
    if not isinstance(dataset, ImageLabelDataset):
        raise TypeError('pseudo labels need image labels: wrap the data set into an ImageLabelDataset, got '
                        f'{type(dataset).__name__}')
    if getattr(model, 'class_agnostic', False):
        return
    trained = list((getattr(model, 'dataset_meta', None) or {}).get('classes') or ())[1:]
    if trained and trained != list(dataset.classes):
        differing = [f'{a!r} and {b!r}' for a, b in zip(trained, dataset.classes) if a != b]
        counts = f'{len(trained)} classes against {len(dataset.classes)}'
        message = f"the model's classes are not those of the data: {counts}, {', '.join(differing[:3])}"
        if len(trained) != len(dataset.classes):
            raise ValueError(message)
        print_log(message, logger='current', level=logging.WARNING)


def _maps_to_walk(settings: LabelSettings, cams: Union[str, os.PathLike, None]) -> Optional[SavedMaps]:
    """The maps of a random walk; None where there is none."""
    if settings.walks != (cams is not None):
        raise ValueError(f'post={settings.post!r} needs class maps that were saved earlier: give cams (--cams FOLDER)'
                         if settings.walks else
                         f'cams (--cams {cams}) are for a random walk, got post={settings.post!r}')
    return SavedMaps(cams) if settings.walks else None


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


def _announce_maps(dataset: ImageLabelDataset, pending: Sequence[int], settings: LabelSettings, world_size: int,
                   folder: LabelFolder) -> None:
    """Say how large the class maps become, and warn where the disk is smaller."""
    size = estimate_map_bytes(dataset, pending, settings) * world_size
    free = shutil.disk_usage(folder.path).free
    form = 'up to {:,.1f} MiB before compression' if settings.cam_format == 'npz' else 'about {:,.1f} MiB'
    print_log(f'the class maps take {form.format(size / 2**20)}, in {folder.path}, where {free / 2**20:,.0f} MiB are '
              'free; --cam-stride makes them smaller', logger='current',
              level=logging.WARNING if size > free else logging.INFO)


def _jobs(source: Union[MapSource, WalkSource], dataset: ImageLabelDataset, pending: Sequence[int],
          settings: LabelSettings, folder: LabelFolder, image_ids: Sequence[str]) -> Iterator[LabelJob]:
    """Run the network over the pending images."""
    refiner = PixelAdaptiveRefinement() if settings.post == 'par' else None
    num_classes, image_labels = len(dataset.classes), dataset.gt_labels
    for index, data in _prefetched(dataset, pending):
        channels = np.flatnonzero(image_labels[index])
        cams, background, sample = source(data, channels, image_ids[index])
        labels = None
        if refiner is not None and len(channels):
            labels = _refined_labels(refiner, cams, channels, sample.img_path, settings)
        yield LabelJob(
            img_path=sample.img_path,
            cams=cams[0].float().cpu().numpy(),
            channels=channels.tolist(),
            label_path=folder.label_path(image_ids[index]),
            labels=labels,
            map_paths=folder.map_paths(image_ids[index]),
            num_classes=num_classes,
            origin=folder.origin,
            background=None if background is None else background[0].float().cpu().numpy())


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


def _refined_labels(refiner: PixelAdaptiveRefinement, cams: Tensor, channels: np.ndarray, img_path: str,
                    settings: LabelSettings) -> np.ndarray:
    """Labels (H, W) of maps (1, P, H, W) refined along the image."""
    image = torch.from_numpy(read_image(img_path)).permute(2, 0, 1)[None].to(cams) / 255
    high = settings.threshold if settings.high is None else settings.high
    present = cams.new_ones(1, len(channels))
    labels = refined_pseudo_labels(refiner, image, cams, present, high, settings.threshold)[0]
    values = np.arange(256)
    values[1:len(channels) + 1] = channels + 1
    return values[labels.cpu().numpy()]


def _progress(enabled: bool) -> Progress:
    columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, disable=not enabled)
