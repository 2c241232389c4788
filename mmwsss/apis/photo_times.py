"""Measure how long the stages of labeling photographs take on this machine, on a few photographs and iterations."""

import copy
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mmwsss.analysis import GalleryItem, judge_photo, write_gallery
from mmwsss.analysis.threshold_choice import THRESHOLDS
from mmwsss.datasets import ImageLabels, PhotoDataset, iterations_per_epoch
from mmwsss.datasets.map_files import write_label_map
from mmwsss.engine import run_length
from mmwsss.recipes import (
    Predict,
    PseudoLabels,
    RecipeContext,
    Script,
    Stage,
    StageWork,
    SuggestThreshold,
    Train,
)
from mmwsss.registry import MODELS
from mmwsss.utils import read_photo
from mmwsss.utils.cli import read_config_file
from mmwsss.utils.silence import silent

from .configs import strip_pretrained
from .inferencer import WSSSInferencer
from .photo_features import photo_features
from .photo_inputs import PhotoInput

__all__ = ['measure_stages']

NUM_ITERATIONS, NUM_PHOTOS = 3, 3
"""int: How many are measured, after one that is not, because the first is slower."""
NUM_TRIED = 40
"""int: Photographs on which ``suggest_threshold.py`` tries thresholds unless told otherwise."""
NUM_VIEWS = 3
"""int: A photograph and those that :func:`~mmwsss.apis.view_agreement` predicts."""


def measure_stages(stages: Iterable[Stage], context: RecipeContext, labels: ImageLabels,
                   photos: Path) -> dict[str, StageWork]:
    """Measure a few iterations and photographs of each stage, and multiply.

    Models are the configs' own with random weights, and read the real photographs. Nothing but temporary files is
    written. Each of several processes is expected to take as long for its part of the work as one process alone, with
    one thread on a CPU.

    Args:
        stages (Iterable[Stage]): Stages of a recipe that :func:`~mmwsss.apis.photo_labels.plan_photos` wrote.
        context (RecipeContext): Of the recipe.
        labels (ImageLabels): Tags of the photographs.
        photos (Path): Folder of the photographs.

    Returns:
        dict[str, StageWork]: By name of the stage. Downloads are not measured and have no entry.
    """
    init_default_scope('mmwsss')
    measure = _Measurement(context, labels, photos)
    works, start = {}, _seconds_to_start()
    for stage in stages:
        with silent():
            work = measure.stage(stage)
        if work is not None:
            works[stage.name] = StageWork(work.seconds + start, work.units)
    return works


class _Measurement:
    """Measure stages by their kinds."""

    def __init__(self, context: RecipeContext, labels: ImageLabels, photos: Path) -> None:
        self.context, self.labels, self.folder = context, labels, photos
        self.processes = context.tools.num_processes
        dataset = PhotoDataset(classes=labels.classes, data_prefix=dict(img_path=str(photos)), lazy_init=True)
        self.photos = {entry['image_id']: entry['img_path'] for entry in dataset.load_data_list()}

    def stage(self, stage: Stage) -> Optional[StageWork]:
        """Measure a stage; returns None if its kind is not measured."""
        if isinstance(stage, Train):
            return self._train(stage)
        if isinstance(stage, PseudoLabels):
            post = stage.args[stage.args.index('--post') + 1] if '--post' in stage.args else 'none'
            count = len(self.labels.labels)
            with _threads(self.processes):
                seconds = self._predict(stage, source='cam', post=post)
            return StageWork(seconds * count / self.processes, count)
        if isinstance(stage, Predict):
            flags = dict(itertools.pairwise(stage.args))
            seconds = self._predict(stage, flags.get('--source'), flags.get('--post', 'none'), '--tta' in stage.args)
            seconds *= NUM_VIEWS if '--agreement' in stage.args else 1
            return StageWork(seconds * len(self.photos), len(self.photos))
        if isinstance(stage, SuggestThreshold):
            return StageWork(self._thresholds(stage) * min(NUM_TRIED, len(self.labels.labels)))
        if isinstance(stage, Script) and stage.script == 'gallery.py':
            return StageWork(self._gallery() * len(self.photos))
        if isinstance(stage, Script) and stage.script == 'analysis_tools/check_tags.py':
            return StageWork(self._features(stage.args[0]) * len(self.labels.labels))
        return None

    def _train(self, stage: Train) -> StageWork:
        cfg = copy.deepcopy(self.context.config(stage))
        loader = cfg.train_dataloader
        images = len(self.labels.labels)
        per_epoch = iterations_per_epoch(images, loader.batch_size, self.processes, loader.get('drop_last', False))
        loader.batch_size = max(loader.batch_size // self.processes, 1)
        loader.update(num_workers=0, persistent_workers=False)
        with tempfile.TemporaryDirectory() as folder, _threads(self.processes):
            if stage.labels:
                _use_blank_labels(cfg, self.photos, list(self.labels.labels)[:loader.batch_size], Path(folder))
            seconds = _seconds_of_an_iteration(cfg)
        length = run_length(cfg, per_epoch)
        return StageWork(seconds * length, length)

    def _predict(self, stage: Stage, source: Optional[str], post: str = 'none', tta: bool = False) -> float:
        """Return the seconds for a photograph."""
        cfg = copy.deepcopy(self.context.config(stage))
        strip_pretrained(cfg.model, keep_local=False)
        inferencer = WSSSInferencer(cfg, None, get_device(), source, post=post, tta=tta)
        chosen = _spread(list(self.labels.labels), NUM_PHOTOS + 1)
        inputs = [PhotoInput(image_id, self.photos[image_id]) for image_id in chosen]
        tags = {image_id: self.labels.labels[image_id] for image_id in chosen}
        return _mean_seconds(inferencer.stream(inputs, 1, tags))

    def _thresholds(self, stage: Stage) -> float:
        """Return the seconds for a photograph, whose maps are computed once and labeled at all thresholds."""
        maps = self._predict(stage, source='cam')
        if 'crf' not in stage.args:
            return maps
        return maps + len(THRESHOLDS) * max(self._predict(stage, source='cam', post='crf') - maps, 0.)

    def _features(self, config: str) -> float:
        """Return the seconds for a photograph."""
        cfg = read_config_file(config)
        strip_pretrained(cfg.model, keep_local=False)
        chosen = _spread(list(self.labels.labels), NUM_PHOTOS + 1)
        return _mean_seconds(photo_features(cfg, [self.photos[image_id] for image_id in chosen], get_device(), 1))

    def _gallery(self) -> float:
        """Return the seconds for a photograph."""
        paths = [self.photos[image_id] for image_id in _spread(list(self.photos), NUM_PHOTOS + 1)]
        classes = ['background', *self.labels.classes]

        def items() -> Iterator[GalleryItem]:
            for number, path in enumerate(paths):
                image = read_photo(path)
                labels = np.zeros(image.shape[:2], np.uint8)
                yield GalleryItem(str(number), image, labels, judge_photo(labels, classes))

        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            write_gallery(items(), Path(folder, 'page.html'), classes, [(0, 0, 0)] * len(classes))
            return (time.perf_counter() - began) / len(paths)


def _seconds_of_an_iteration(cfg: Config) -> float:
    strip_pretrained(cfg.model, keep_local=False)
    model = MODELS.build(cfg.model).to(get_device()).train()
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    steps = (model.train_step(data, optim_wrapper) for data in itertools.cycle(loader))
    return _mean_seconds(steps, NUM_ITERATIONS + 1)


def _mean_seconds(results: Iterable[Any], count: int = NUM_PHOTOS + 1) -> float:
    """Return the mean seconds that an iterator takes for each result after the first."""
    times = []
    for _ in itertools.islice(results, count):
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter())
    return (times[-1] - times[0]) / max(len(times) - 1, 1)


def _use_blank_labels(cfg: Config, photos: dict[str, str], chosen: list[str], folder: Path) -> None:
    """Let a config train on a few photographs whose pseudo labels are background."""
    for image_id in chosen:
        blank = np.zeros(read_photo(photos[image_id]).shape[:2], np.uint8)
        write_label_map(blank, folder / f'{image_id}.png')
    listed = folder / 'train.txt'
    listed.write_text('\n'.join(chosen), encoding='utf-8')
    dataset = cfg.train_dataloader.dataset
    dataset.pseudo_label_dir = str(folder)
    dataset.dataset.ann_file = str(listed)
    cfg.train_dataloader.drop_last = False


def _spread(values: list, count: int) -> list:
    """Return a few values from everywhere in a list."""
    places = np.linspace(0, len(values) - 1, min(count, len(values))).astype(int)
    return [values[place] for place in places]


def _seconds_to_start() -> float:
    """Return how long a tool takes until it begins to work."""
    began = time.perf_counter()
    subprocess.run([sys.executable, '-W', 'ignore', '-c', 'import mmwsss.apis'], check=False, capture_output=True,
                   env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)})
    return time.perf_counter() - began


@contextmanager
def _threads(processes: int) -> Iterator[None]:
    """Use as many threads as each of several processes does."""
    before = torch.get_num_threads()
    torch.set_num_threads(1 if processes > 1 else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
