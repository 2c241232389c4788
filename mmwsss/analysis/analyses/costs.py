"""Costs of models: parameters, multiply-adds, memory and images per second (MCTformer, Table 4; WeakTr, Table 10)."""

import logging
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.analysis import get_model_complexity_info
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmwsss.utils.errors import UserError
from mmwsss.utils.memory import peak_memory

from .base import ANALYSES, ModelAnalysis, Sample
from .tables import AnalysisTable, draw_table, number

__all__ = ['Costs', 'multiply_adds']

TASKS = ('forward', 'cams')


class GeneratedImages:
    """Images of random pixels, as a data set.

    Args:
        count: Number of images.
        size: (H, W).
    """

    metainfo: dict = {'classes': ()}

    def __init__(self, count: int, size: tuple[int, int]) -> None:
        self.count, self.size = count, size

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict:
        pixels = np.random.default_rng(index).integers(0, 256, (3, *self.size), np.uint8)
        info = dict(img_path=f'generated_{index}', ori_shape=self.size, img_shape=self.size, pad_shape=self.size)
        return dict(inputs=torch.from_numpy(pixels), data_samples=SegDataSample(metainfo=info))


@ANALYSES.register_module(name='costs')
class Costs(ModelAnalysis):
    """Parameters, multiply-adds (MACs), peak memory and speed of models, on generated images.

    Multiply-adds and memory are those of one forward pass on one image, for ``cams`` memory and speed those of class
    activation maps with all views. Weights do not count as memory. The first image is not timed.

    Args:
        task: ``'forward'``: the scores of a CAM model, the logits of a segmentor; ``'cams'``: class activation maps of
            all views.
        images: Number of images that are timed.
        side: Height and width of the images; ``--size`` overrides it.
    """

    source = 'MCTformer Table 4; WeakTr Table 10; TransCAM Table 7'
    measures_memory = True

    def __init__(self, task: str = 'forward', images: int = 5, side: int = 224) -> None:
        if task not in TASKS:
            raise UserError(f"task must be 'forward' or 'cams', got {task!r}")
        self.task, self.images, self.side = task, int(images), int(side)
        self._data: dict[str, Any] = {}
        self._seconds: list[float] = []

    def dataset(self, cfg: Config, split: str) -> GeneratedImages:
        """Return generated images; the data of the config are not read."""
        return GeneratedImages(1 + self.images, (self.side, self.side))

    def process(self, model: nn.Module, sample: Sample) -> None:
        """Measure the first image, and time the others."""
        if self.task == 'cams' and not hasattr(model, 'predict_cams'):
            raise UserError(f'{type(model).__name__} gives no class activation maps: use task=forward')
        if not self._data:
            with peak_memory(sample.inputs.device) as memory:
                self._run(model, sample.inputs)
            self._data = dict(params=sum(weight.numel() for weight in model.parameters()),
                              macs=multiply_adds(model, sample.inputs), memory_mib=round(memory.mib, 3),
                              input=list(sample.inputs.shape[-2:]), device=_device_name(sample.inputs.device),
                              threads=torch.get_num_threads())
            return
        _wait(sample.inputs.device)
        began = time.perf_counter()
        self._run(model, sample.inputs)
        _wait(sample.inputs.device)
        self._seconds.append(time.perf_counter() - began)

    def _run(self, model: nn.Module, inputs: Tensor) -> None:
        if self.task == 'cams':
            model.predict_cams(inputs)
        else:
            model(inputs, mode='tensor')

    def compute(self) -> dict[str, Any]:
        """Return ``params``, ``macs``, ``memory_mib``, ``seconds`` of each image and their median's inverse."""
        speed = 1 / statistics.median(self._seconds) if self._seconds else None
        return {**self._data, 'seconds': [round(value, 4) for value in self._seconds], 'images_per_second': speed}

    def summary(self, data: Mapping[str, Any]) -> dict[str, float]:
        """Return all numbers but the single times."""
        return {'params (M)': data['params'] / 1e6, 'MACs (G)': data['macs'] / 1e9, 'memory (MiB)': data['memory_mib'],
                'images/s': data['images_per_second']}

    def table(self, record: Mapping[str, Any]) -> AnalysisTable:
        """Return a row for each model."""
        rows = []
        for run in record['runs']:
            data = run['data']
            rows.append([run['label'], ' x '.join(map(str, data['input'])), number(data['params'] / 1e6),
                         number(data['macs'] / 1e9), number(data['memory_mib'], 0),
                         number(data['images_per_second'])])
        first = record['runs'][0]['data']
        what = 'class activation maps of all views' if record['options']['task'] == 'cams' else 'one forward pass'
        notes = f'Memory and images/s: {what}, one image at a time, on {first["device"]}. MACs: one forward pass.'
        headings = ['model', 'image size', 'parameters (M)', 'MACs (G)', 'memory (MiB)', 'images/s']
        return AnalysisTable(headings, rows, notes, words=2)

    def draw(self, record: Mapping[str, Any], path: Path) -> None:
        """Draw the table."""
        draw_table(self.table(record), path)


def multiply_adds(model: nn.Module, inputs: Tensor) -> int:
    """Count the multiply-adds of a forward pass, as mmengine does.

    Args:
        model: Its forward takes the images alone.
        inputs: (B, 3, H, W).
    """
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        return int(get_model_complexity_info(model, inputs=(inputs, ), show_table=False, show_arch=False)['flops'])
    finally:
        logger.setLevel(level)


def _device_name(device: torch.device) -> str:
    """Return the name of a GPU, or the number of threads of a CPU."""
    if device.type == 'cuda':
        return torch.cuda.get_device_name(device)
    return f'{device.type}, {torch.get_num_threads()} thread(s)'


def _wait(device: torch.device) -> None:
    """Wait until the device has computed everything."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
