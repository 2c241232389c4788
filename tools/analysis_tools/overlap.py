"""How busy the cores are while labels are made with a dense CRF beside the network; part of ``bench_cams.py``."""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from bench_crf import smooth_noise
from torch import Tensor, nn

from mmwsss.apis import expand_short_forms
from mmwsss.models import backbone_precision
from mmwsss.models.label_steps import LabelBatch
from mmwsss.pseudo_labels.label_cfg import build_outputs
from mmwsss.pseudo_labels.writer import LabelWriter, WriteTask

__all__ = ['LabelRounds', 'label_rounds', 'number_of_cores']


class LabelRounds(NamedTuple):
    """Rounds of labeling some images.

    Attributes:
        seconds: Of each round, on the clock.
        utilization: Share of the time of all cores that each round has used, 0 to 1.
        pixels: (256,) pixels of each label value, of all images of a round.
    """

    seconds: list[float]
    utilization: list[float]
    pixels: np.ndarray


def number_of_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def label_rounds(model: nn.Module, image: Tensor, classes: Tensor, workers: int, images: int, repeat: int,
                 **options: Any) -> LabelRounds:
    """Make labels as ``make_pseudo_labels`` does: maps in this process, CRF and files in workers beside it.

    Args:
        model: Gives CAMs.
        image: (1, 3, H, W), what the network sees of every image.
        classes: (P,) classes of every image.
        workers: Worker processes; with 0, one image is finished after the other.
        images: Number of images in a round.
        repeat: Rounds.
        **options: ``amp``: precision of the backbone; ``crf``: preset of the dense CRF.
    """
    outputs = build_outputs(expand_short_forms(threshold=.4, post='crf', crf=options.get('crf')))
    noise = smooth_noise(np.random.default_rng(0), tuple(image.shape[-2:]), 3)
    colors = torch.from_numpy((255 * noise).astype(np.uint8)).permute(2, 0, 1)[None]

    def tasks(folder: Path, count: int) -> Iterator[WriteTask]:
        for index in range(count):
            cams = model.predict_cams(image, classes=classes, scored_view=None)['cams']
            batch = LabelBatch.from_maps(colors, cams, classes, model.cam_head.num_classes)
            yield WriteTask.from_maps(str(index), batch, outputs, {'labels': folder / f'{index}.png'})

    found = LabelRounds([], [], np.zeros(256, np.int64))
    with (tempfile.TemporaryDirectory() as folder, LabelWriter(outputs, [(0, 0, 0)], workers) as writer,
          backbone_precision(model, options.get('amp'))):
        list(writer.run(tasks(Path(folder), workers + 1)))  # workers start
        for _ in range(repeat):
            start = time.perf_counter(), time.process_time() + writer.worker_seconds
            pixels = sum(writer.run(tasks(Path(folder), images)))
            wall = time.perf_counter() - start[0]
            used = time.process_time() + writer.worker_seconds - start[1]
            found.seconds.append(wall)
            found.utilization.append(used / (wall * number_of_cores()))
        found.pixels[:] = pixels
    return found
