"""Hook that draws a sheet of pictures at every validation and test."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import mmcv
import numpy as np
from mmengine.dist import is_main_process
from mmengine.fileio import get
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmseg.engine.hooks import SegVisualizationHook
from mmseg.structures import SegDataSample
from PIL import Image
from torch.utils.data import DataLoader

from mmwsss.registry import HOOKS
from mmwsss.utils import atomic_path

__all__ = ['PictureSheetHook']


@HOOKS.register_module()
class PictureSheetHook(SegVisualizationHook):
    """Draw a few images of the data set with CAM, pseudo label, prediction and truth side by side.

    The images are spread evenly over those that the first process sees, the same at every validation. The
    sheet goes to ``<work_dir>/vis_data/val_<iteration>.png`` (``test.png`` in testing) and to all backends
    of the visualizer, which must be a :class:`~mmwsss.analysis.CAMVisualizer`. Training is not touched.

    With ``draw=True`` it also draws single images: every image of a test, and the first image of every
    ``interval``-th batch of a validation. That does not depend on the installed mmseg, whose releases differ in it.

    Args:
        num_images (int): Rows of a sheet; 0 for no sheet. Defaults to 8.
        threshold (float, optional): Background score of the pseudo label that is shown. Defaults to the
            model's ``test_cfg.threshold``, or else 0.5.
        draw (bool): Also draw single images, as ``tools/test.py --show-dir`` asks for.
        interval (int): Batches of a validation from one single image to the next. Defaults to 50.
        show (bool): See mmseg's ``SegVisualizationHook``.
        wait_time (float): See mmseg's ``SegVisualizationHook``.
        backend_args (dict, optional): See mmseg's ``SegVisualizationHook``.

    Raises:
        ValueError: ``num_images`` is negative.
    """

    def __init__(self,
                 num_images: int = 8,
                 threshold: Optional[float] = None,
                 draw: bool = False,
                 interval: int = 50,
                 show: bool = False,
                 wait_time: float = 0.,
                 backend_args: Optional[dict] = None) -> None:
        if num_images < 0:
            raise ValueError(f'num_images must be 0 or more, got {num_images}')
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # the warning that nothing is drawn without ``draw`` is wrong here
            super().__init__(draw, interval, show, wait_time, backend_args)
        self.num_images = num_images
        self.threshold = threshold
        self._rows: list[dict] = []
        self._tested = 0

    def before_val_epoch(self, runner: Runner) -> None:
        """Start a new sheet."""
        self._rows = []

    def before_test_epoch(self, runner: Runner) -> None:
        """Start a new sheet."""
        self._rows = []

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any,
                       outputs: Sequence[SegDataSample]) -> None:
        """Draw the rows of the images that were chosen, and single images with ``draw=True``."""
        if self.draw and (runner.iter + batch_idx) % self.interval == 0:
            self._draw_single('val', outputs[0], runner.iter + batch_idx)
        self._add_rows(runner, runner.val_dataloader, batch_idx, outputs)

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any,
                        outputs: Sequence[SegDataSample]) -> None:
        """Draw the rows of the images that were chosen, and single images with ``draw=True``."""
        for sample in outputs if self.draw else ():
            self._tested += 1
            self._draw_single('test', sample, self._tested)
        self._add_rows(runner, runner.test_dataloader, batch_idx, outputs)

    def after_val_epoch(self, runner: Runner, metrics: Optional[dict] = None) -> None:
        """Write the sheet."""
        self._write(runner, f'val_{runner.iter:06d}', f'validation after {runner.iter} iterations', runner.iter)

    def after_test_epoch(self, runner: Runner, metrics: Optional[dict] = None) -> None:
        """Write the sheet."""
        # Not runner.iter: mmengine would build the training data to answer, which need not be there.
        self._write(runner, 'test', 'test', 0)

    def _draw_single(self, kind: str, sample: SegDataSample, step: int) -> None:
        self._visualizer.add_datasample(f'{kind}_{Path(sample.img_path).name}', self._read(sample), data_sample=sample,
                                        show=self.show, wait_time=self.wait_time, step=step)

    def _read(self, sample: SegDataSample) -> np.ndarray:
        return mmcv.imfrombytes(get(sample.img_path, self.backend_args), channel_order='rgb')

    def _add_rows(self, runner: Runner, loader: DataLoader, batch_idx: int,
                  outputs: Sequence[SegDataSample]) -> None:
        if not is_main_process() or not self.num_images or not hasattr(self._visualizer, 'sheet_row'):
            return
        first = batch_idx * (loader.batch_size or len(outputs))
        chosen = _spread(len(loader.sampler), self.num_images)
        for position, sample in enumerate(outputs, start=first):
            if position in chosen:
                self._rows.append(self._visualizer.sheet_row(self._read(sample), sample, self._threshold(runner)))

    def _threshold(self, runner: Runner) -> float:
        model = runner.model
        while is_model_wrapper(model) or (not hasattr(model, 'test_cfg') and hasattr(model, 'module')):
            model = model.module
        configured = (getattr(model, 'test_cfg', None) or {}).get('threshold', 0.5)
        return configured if self.threshold is None else self.threshold

    def _write(self, runner: Runner, name: str, heading: str, step: int) -> None:
        if not self._rows:
            return
        sheet = self._visualizer.add_sheet(name.split('_')[0], self._rows, heading, step=step)
        path = Path(runner.work_dir, 'vis_data', f'{name}.png')
        with atomic_path(path) as tmp:
            Image.fromarray(sheet).save(tmp)
        print_log(f'pictures of {len(self._rows)} images: {path}', logger='current')
        self._rows = []


def _spread(length: int, count: int) -> set[int]:
    """Return ``count`` positions spread evenly over ``length``, including the first and the last."""
    return set(np.linspace(0, length - 1, min(count, length)).round().astype(int).tolist())
