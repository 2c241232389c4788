"""Draw class activation maps, pseudo labels and predictions side by side."""

from collections.abc import Sequence
from typing import Any, Optional

import numpy as np
import torch
from mmengine.dist import master_only
from mmseg.structures import SegDataSample
from mmseg.visualization import SegLocalVisualizer
from torch import Tensor

from mmwsss.datasets import index_palette
from mmwsss.models.utils import cams_to_labels
from mmwsss.registry import VISUALIZERS

from .sheet import IGNORED, color_labels, compose_sheet, fit_cell, heat_overlay, write_caption

__all__ = ['CAMVisualizer']


@VISUALIZERS.register_module()
class CAMVisualizer(SegLocalVisualizer):
    """mmseg's visualizer, which also draws class activation maps and sheets of pictures.

    A sheet has a row per image and, as far as its samples carry them, the columns image, CAM, pseudo label,
    prediction and truth. Classes and palette come from ``dataset_meta``, which mmengine's loops set.

    Args:
        name (str): Name of the instance. Defaults to ``'visualizer'``.
        cell_size (tuple[int, int]): (width, height) of a picture on a sheet. Defaults to (208, 160).
        cam_alpha (float): Weight of the heat colors over the image. Defaults to 0.5.
        **kwargs (Any): Those of mmseg's ``SegLocalVisualizer``.
    """

    def __init__(self, name: str = 'visualizer', cell_size: tuple[int, int] = (208, 160), cam_alpha: float = 0.5,
                 **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self.cell_size = tuple(cell_size)
        self.cam_alpha = cam_alpha

    def draw_cams(self, image: np.ndarray, cams: Tensor, image_labels: Optional[Tensor] = None) -> np.ndarray:
        """Draw the highest map of the present classes in jet colors over the image.

        Args:
            image (np.ndarray): (H, W, 3) uint8 RGB.
            cams (Tensor): (C, h, w) in [0, 1].
            image_labels (Tensor, optional): (C,) multi-hot; all classes if None.

        Returns:
            np.ndarray: (H, W, 3) uint8 RGB.
        """
        cams = cams.detach().float().cpu()
        if image_labels is not None:
            cams = cams * (image_labels.cpu() > 0)[:, None, None]
        return heat_overlay(image, cams.amax(0).numpy(), self.cam_alpha)

    def draw_labels(self, labels: np.ndarray) -> np.ndarray:
        """Color a label map (H, W) by the palette of the dataset, ignored pixels light gray; return (H, W, 3) uint8."""
        return color_labels(labels, self._palette())

    def sheet_row(self, image: np.ndarray, sample: SegDataSample, threshold: float = 0.5) -> dict:
        """Draw the fields of a sample as cells of one size.

        Args:
            image (np.ndarray): Its image, (H, W, 3) uint8 RGB.
            sample (SegDataSample): With any of ``cams``, ``gt_label``, ``pred_sem_seg``, ``gt_sem_seg``.
            threshold (float): Background score of the pseudo label that is made from ``cams``.

        Returns:
            dict: ``cells``: title -> (height, width, 3) uint8, in the order of columns; ``values``: set of the
            label values that occur.
        """
        image_labels = sample.get('gt_label')
        cells = {'image': write_caption(fit_cell(image, self.cell_size), self._names(image_labels))}
        maps = {}
        if 'cams' in sample:
            cams = sample.cams.data
            cells['CAM'] = fit_cell(self.draw_cams(image, cams, image_labels), self.cell_size)
            present = torch.ones(len(cams)) if image_labels is None else image_labels
            maps['pseudo label'] = cams_to_labels(cams[None], present[None].to(cams), threshold)[0]
        if 'pred_sem_seg' in sample:
            maps['prediction'] = sample.pred_sem_seg.data.squeeze(0)
        if 'gt_sem_seg' in sample:
            maps['truth'] = sample.gt_sem_seg.data.squeeze(0)
        maps = {title: labels.cpu().numpy() for title, labels in maps.items()}
        for title, labels in maps.items():
            cells[title] = fit_cell(self.draw_labels(labels), self.cell_size, smooth=False)
        values = {int(value) for labels in maps.values() for value in np.unique(labels)}
        return {'cells': cells, 'values': values}

    def draw_sheet(self, rows: Sequence[dict], heading: str = '') -> np.ndarray:
        """Draw rows of :meth:`sheet_row` as a sheet, with titles and a legend of the classes that occur.

        Args:
            rows (Sequence[dict]): At least one; columns that not all of them have are left out.
            heading (str): Above everything.

        Returns:
            np.ndarray: The sheet, uint8 RGB.
        """
        titles = [title for title in rows[0]['cells'] if all(title in row['cells'] for row in rows)]
        values = sorted(set().union(*(row['values'] for row in rows)))
        classes, palette = self.dataset_meta.get('classes') or (), self._palette()
        legend = [(str(classes[value]), palette[value]) for value in values if value < len(classes)]
        if any(value >= len(classes) for value in values):
            legend.append(('ignored', IGNORED))
        return compose_sheet([[row['cells'][title] for title in titles] for row in rows], titles, legend, heading)

    @master_only
    def add_sheet(self, name: str, rows: Sequence[dict], heading: str = '', step: int = 0) -> np.ndarray:
        """Draw a sheet and pass it to all backends.

        Args:
            name (str): What the backends call it.
            rows (Sequence[dict]): See :meth:`draw_sheet`.
            heading (str): Above everything.
            step (int): Iteration it belongs to.

        Returns:
            np.ndarray: The sheet, uint8 RGB.
        """
        sheet = self.draw_sheet(rows, heading)
        self.add_image(name, sheet, step)
        return sheet

    def _palette(self) -> list:
        """Return a color for every class, from VOC where the dataset has none."""
        count = len(self.dataset_meta.get('classes') or ())
        palette = list(self.dataset_meta.get('palette') or ())
        return palette + index_palette(256)[len(palette):max(count, len(palette))]

    def _names(self, image_labels: Optional[Tensor]) -> str:
        """Return the names of the classes of an image."""
        if image_labels is None:
            return ''
        classes = list(self.dataset_meta.get('classes') or ())[1:]
        return ', '.join(str(name) for name, present in zip(classes, image_labels.tolist()) if present)
