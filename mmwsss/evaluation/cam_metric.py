"""The metric of class activation maps during validation and testing."""

from collections.abc import Sequence
from typing import Optional

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor

from mmwsss.registry import METRICS

from .counting_metric import CountingMetric, read_field
from .image_f1 import ImageF1
from .tables import class_table
from .threshold_sweep import ThresholdSweep, checked_thresholds

__all__ = ['CAMMetric']


@METRICS.register_module()
class CAMMetric(CountingMetric):
    """Quality of class activation maps against masks, at a fixed threshold and at the best one.

    Every image updates a :class:`ThresholdSweep`; see :class:`CountingMetric` for several processes.

    Metrics, in percent with two decimals, means over classes with background:

    - ``mIoU``, ``FP``, ``FN``, ``precision``, ``recall`` at the fixed ``threshold``;
    - ``oracle_mIoU`` and ``oracle_threshold``: the best of the sweep. The masks chose it, so it is an
      upper bound and not a result under weak supervision;
    - ``cls_F1``: mean over images of the F1 score of classes with a positive logit against the image
      labels; only where samples carry logits, and not of a metric with a ``name``, whose maps have the
      same logits. Images without any label and any positive are left out.

    Args:
        threshold (float): The fixed background threshold; a score equal to it is background.
        thresholds (Sequence[float], optional): Those of the oracle sweep, strictly increasing, in
            [0, 1]; the fixed one is added. Defaults to 0.00, 0.01, ..., 0.99.
        field (str): Where a sample holds the maps: PixelData (C, H, W) in [0, 1], at the size of its
            ground truth. Defaults to ``'cams'``.
        name (str): Put before the names of the metrics, so that the maps of several fields can be
            told apart: ``name='aux'`` gives ``aux_mIoU``. Defaults to ``''``.
        image_labels (str): Which classes count as present. ``'gt'``: the sample's ``gt_label``, as in
            published CAM results, whose labels are given; ``'predicted'``: those with a positive logit.
        logits_field (str, optional): Where a sample holds the (C,) class logits; None for no
            ``cls_F1``. Defaults to ``'cls_logits'``.
        ignore_index (int): Ground-truth value that does not count. Defaults to 255.
        prefix (str): Defaults to ``'cam'``.
        collect_device (str): ``'cpu'`` or ``'gpu'``, how ranks exchange counts.
        collect_dir (str, optional): Folder for that with ``'cpu'``.

    Attributes:
        curve (dict, optional): What :meth:`ThresholdSweep.compute` gave at the last evaluation, in the first process.

    Raises:
        ValueError: ``image_labels`` is unknown, needs ``logits_field``, or a threshold is outside [0, 1].
    """

    default_prefix = 'cam'

    def __init__(self,
                 threshold: float = 0.5,
                 thresholds: Optional[Sequence[float]] = None,
                 field: str = 'cams',
                 name: str = '',
                 image_labels: str = 'gt',
                 logits_field: Optional[str] = 'cls_logits',
                 ignore_index: int = 255,
                 prefix: Optional[str] = None,
                 collect_device: str = 'cpu',
                 collect_dir: Optional[str] = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        if image_labels not in ('gt', 'predicted'):
            raise ValueError(f"image_labels must be 'gt' or 'predicted', got {image_labels!r}")
        if image_labels == 'predicted' and logits_field is None:
            raise ValueError("image_labels='predicted' needs logits_field, got None")
        self.threshold = float(threshold)
        grid = checked_thresholds(thresholds)
        self.thresholds = checked_thresholds(np.union1d(grid, [self.threshold]))
        self.field = field
        self.name = name
        self.image_labels = image_labels
        self.logits_field = logits_field
        self.ignore_index = ignore_index
        self.curve: Optional[dict] = None

    def compute_metrics(self, results: list) -> dict:
        """Compute the metrics and log the per-class table.

        Args:
            results (list[tuple]): A :class:`ThresholdSweep` and an :class:`ImageF1` per rank.

        Returns:
            dict[str, float]: The metrics, without prefix.
        """
        sweep, f1 = self.merged(results)
        found = sweep.compute()
        at = sweep.index(self.threshold)
        best = at if np.isnan(found['mIoU']).all() else int(np.nanargmax(found['mIoU']))
        self._log_table(found, at)
        self.curve = found
        metrics = {
            'mIoU': found['mIoU'][at],
            'FP': found['FP'][at],
            'FN': found['FN'][at],
            'precision': found['mPrecision'][at],
            'recall': found['mRecall'][at],
            'oracle_mIoU': found['mIoU'][best],
            'oracle_threshold': found['thresholds'][best],
        }
        if f1.num_images:
            metrics['cls_F1'] = f1.compute()
        return {self._full_name(key): round(float(value), 2) for key, value in metrics.items()}

    def new_counts(self) -> tuple:
        """Make an empty (:class:`ThresholdSweep`, :class:`ImageF1`)."""
        num_classes = len(self.dataset_meta['classes'])
        return ThresholdSweep(num_classes, self.thresholds, self.ignore_index), ImageF1()

    def count(self, sample: dict) -> tuple:
        """Count one image.

        Args:
            sample (dict): With ``gt_sem_seg``, the maps, and ``gt_label`` (C,) multi-hot or logits (C,).

        Raises:
            KeyError: The sample lacks one of these.
            ValueError: The maps do not fit the ground truth or the classes of the dataset.
        """
        counts = sweep, f1 = self.new_counts()
        cams = read_field(sample, self.field, "does the model's test_cfg ask for CAMs?")['data']
        gt = read_field(sample, 'gt_sem_seg', 'CAMs are evaluated on data with masks')['data']
        present = self._present_classes(sample).to(cams.device)
        try:
            if len(present) != len(cams):
                raise ValueError(f'{self.field} have {len(cams)} channels, but there are '
                                 f'{len(present)} class labels or logits')
            channels = present.nonzero().flatten()
            sweep.update(cams[channels], gt.squeeze(0), channels.tolist())
        except ValueError as error:
            raise ValueError(f'{self.field} of {sample.get("img_path", "a sample")}: {error}') from error
        if not self.name and self.logits_field in sample and 'gt_label' in sample:
            f1.update(sample[self.logits_field] > 0, sample['gt_label'] > 0)
        return counts

    def _present_classes(self, sample: dict) -> Tensor:
        """Which classes count as present, (C,) bool."""
        if self.image_labels == 'gt':
            hint = "use an image-label dataset, or image_labels='predicted'"
            return torch.as_tensor(read_field(sample, 'gt_label', hint)) > 0
        return read_field(sample, self.logits_field, "image_labels='predicted' needs them") > 0

    def _log_table(self, found: dict, at: int) -> None:
        columns = {'IoU': found['IoU'], 'FP': found['class_FP'], 'FN': found['class_FN'],
                   'precision': found['precision'], 'recall': found['recall']}
        columns = {heading: values[at] for heading, values in columns.items()}
        table = class_table(self.dataset_meta['classes'], columns)
        title = f'{self.prefix}: {self.field} at threshold {self.threshold:g}'
        print_log(f'{title}:\n{table}', logger='current')

    def _full_name(self, key: str) -> str:
        return f'{self.name}_{key}' if self.name else key
