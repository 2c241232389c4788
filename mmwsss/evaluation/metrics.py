"""Metrics of class activation maps, class scores and affinities in validation and testing."""

import logging
from collections.abc import Sequence
from typing import Any, Optional

import numpy as np
import torch
from mmengine.logging import print_log
from mmseg.evaluation import IoUMetric
from torch import Tensor
from torch.nn import functional as F

from mmwsss.models.utils import IGNORE_INDEX, PairLabels, pair_labels
from mmwsss.registry import METRICS
from mmwsss.utils.console import log_table

from .counting_metric import CountingMetric, ImageMean, image_name, read_field
from .results import EvaluationResult
from .threshold_sweep import ThresholdSweep, checked_thresholds

__all__ = ['CAMMetric', 'CheckedIoUMetric', 'ImageMAP', 'PairAffinityMetric']

_AFFINITY_BINS = 1000


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
      same logits. Images without any label and any positive logit are left out.

    The means are NaN, with a warning in the log, if the masks hold no foreground class; another warning names
    classes that are predicted but in no mask.

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
        result (EvaluationResult, optional): All rates of the last evaluation, in the first process.

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
        self.result: Optional[EvaluationResult] = None

    def compute_metrics(self, results: list) -> dict:
        """Compute the metrics and log the per-class table.

        Args:
            results (list[tuple]): A :class:`ThresholdSweep` and an :class:`ImageMean` per rank.

        Returns:
            dict[str, float]: The metrics, without prefix.
        """
        sweep, f1 = self.merged(results)
        self.result = sweep.result(self.dataset_meta['classes'])
        title = f'{self.prefix}: {self.field} at threshold {self.threshold:g}'
        table = f'{title}:\n{self.result.to_text(self.threshold)}'
        if self.name:  # further maps of the model; the method's result has no name
            print_log(table, logger='current')
        else:
            log_table(table)
        _log_notes(self.result, f'{title}: ')
        metrics = self.result.metrics(self.threshold, oracle=self.result.best())
        shown = ('mIoU', 'FP', 'FN', 'precision', 'recall', 'oracle_mIoU', 'oracle_threshold')
        metrics = {key: metrics[key] for key in shown}
        if len(f1):
            metrics['cls_F1'] = f1.compute()
        return {self._full_name(key): round(value, 2) for key, value in metrics.items()}

    def new_counts(self) -> tuple:
        """Return an empty (:class:`ThresholdSweep`, :class:`ImageMean`)."""
        num_classes = len(self.dataset_meta['classes'])
        return ThresholdSweep(num_classes, self.thresholds, self.ignore_index), ImageMean()

    def count(self, sample: dict) -> tuple:
        """Count one image.

        Args:
            sample (dict): With ``gt_sem_seg``, the maps, and ``gt_label`` (C,) multi-hot or logits (C,).

        Raises:
            KeyError: The sample lacks one of these.
            ValueError: The maps do not fit the ground truth or the classes of the dataset, or hold NaN.
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
            raise ValueError(f'{self.field} of {image_name(sample)}: {error}') from error
        if not self.name and self.logits_field in sample and 'gt_label' in sample:
            score = _image_f1(_finite_scores(sample, self.logits_field) > 0, sample['gt_label'] > 0)
            if score is not None:
                f1.update(score)
        return counts

    def _present_classes(self, sample: dict) -> Tensor:
        """Return which classes count as present, (C,) bool."""
        if self.image_labels == 'gt':
            hint = "use an image-label dataset, or image_labels='predicted'"
            return torch.as_tensor(read_field(sample, 'gt_label', hint)) > 0
        return _finite_scores(sample, self.logits_field, "image_labels='predicted' needs them") > 0

    def _full_name(self, key: str) -> str:
        return f'{self.name}_{key}' if self.name else key


@METRICS.register_module()
class CheckedIoUMetric(IoUMetric):
    """Compute mmseg's IoU metrics of a segmentation, but only from masks that can be evaluated.

    The numbers are those of ``IoUMetric``. If the masks hold no foreground class, they are NaN, with a warning in the
    log; another warning names classes that are predicted but in no mask. Mask values that are no class are refused,
    where ``IoUMetric`` leaves them out.

    Args:
        **kwargs (Any): Those of mmseg's ``IoUMetric``.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._ignored = 0

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count a batch.

        Args:
            data_batch (Any): Not used.
            data_samples (Sequence[dict]): Samples as dicts, with ``pred_sem_seg`` and ``gt_sem_seg``.

        Raises:
            ValueError: A mask holds a value that is no class; the image is named.
        """
        for sample in () if self.format_only else data_samples:
            self._check_mask(sample)
        super().process(data_batch, data_samples)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the metrics from the pixel counts of all images; see ``IoUMetric``."""
        metrics = super().compute_metrics(results)
        if self.format_only:
            return metrics
        hits, _, predicted, truth = (torch.stack(areas).double().sum(0).numpy() for areas in zip(*results))
        result = EvaluationResult(hits, predicted, truth, self.dataset_meta['classes'], ignored=self._ignored,
                                  ignore_index=self.ignore_index)
        self._ignored = 0
        _log_notes(result, f'{self.prefix or "segmentation"}: ')
        return metrics if result.has_foreground else dict.fromkeys(metrics, float('nan'))

    def _check_mask(self, sample: dict) -> None:
        """Refuse values that are no class, and count ignored pixels."""
        gt = read_field(sample, 'gt_sem_seg', 'the pipeline must load masks (LoadAnnotations)')['data']
        valid = gt[gt != self.ignore_index]
        self._ignored += gt.numel() - valid.numel()
        num_classes = len(self.dataset_meta['classes'])
        if valid.numel() and not 0 <= valid.min() <= valid.max() < num_classes:
            wrong = valid[(valid < 0) | (valid >= num_classes)].unique()[:5].tolist()
            raise ValueError(f'the mask of {image_name(sample)} holds {wrong}, allowed are 0 to {num_classes - 1} and '
                             f'ignore_index={self.ignore_index}')


@METRICS.register_module()
class ImageMAP(CountingMetric):
    """Label-ranking average precision of class scores: the mean AP of the images, as in MCTformer.

    The AP of an image is the mean over its true classes c of the share of true classes among those that score at
    least as high as c. Metric: ``mAP``, in percent with two decimals; images without labels are left out. This is not
    the mAP of PASCAL VOC, which ranks the images of each class and averages over classes.

    Args:
        logits_field (str): Where a sample holds the (C,) class scores. Defaults to ``'cls_logits'``.
        prefix (str, optional): Defaults to ``'cls'``.
        collect_device (str): ``'cpu'`` or ``'gpu'``, how ranks exchange counts.
        collect_dir (str, optional): Folder for that with ``'cpu'``.
    """

    default_prefix = 'cls'

    def __init__(self,
                 logits_field: str = 'cls_logits',
                 prefix: Optional[str] = None,
                 collect_device: str = 'cpu',
                 collect_dir: Optional[str] = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        self.logits_field = logits_field

    def new_counts(self) -> tuple:
        """Return an empty accumulator."""
        return (ImageMean(), )

    def count(self, sample: dict) -> tuple:
        """Rank the classes of one image.

        Args:
            sample (dict): With ``gt_label`` (C,) multi-hot, and the scores.

        Raises:
            KeyError: The sample lacks one of these.
            ValueError: They differ in shape, or a score is NaN or infinite; the image is named.
        """
        mean, = counts = self.new_counts()
        scores = _finite_scores(sample, self.logits_field, "does the model's predict give class scores?").float()
        true = torch.as_tensor(read_field(sample, 'gt_label', 'use an image-label dataset')) > 0
        if scores.shape != true.shape:
            raise ValueError(f'{self.logits_field} of {image_name(sample)}: scores and true labels differ in shape: '
                             f'{tuple(scores.shape)} and {tuple(true.shape)}')
        if true.any():
            mean.update(_average_precision(true, scores))
        return counts

    def compute_metrics(self, results: Sequence[tuple]) -> dict:
        """Compute the metric.

        Args:
            results (Sequence[tuple]): An :class:`ImageMean` per rank.

        Returns:
            dict[str, float]: ``mAP``, without prefix.
        """
        return {'mAP': round(self.merged(results)[0].compute(), 2)}


@METRICS.register_module()
class PairAffinityMetric(CountingMetric):
    """Affinities of :class:`~mmwsss.models.AffinityNet` against true masks.

    The label of a cell is that of the pixel in its middle; pairs with an ignored cell do not count. In percent:

    - ``background``, ``foreground``, ``negative``: mean affinity of pairs within the background, within a class, and
      of different labels;
    - ``background_auc``, ``foreground_auc``: how often such a pair has a larger affinity than a pair of different
      labels (area under the ROC curve, affinities in bins of 0.001, equal ones count half); 50 is chance.

    Metrics of a kind of pair that does not occur are NaN.

    Args:
        prefix (str): Put before the names of the metrics. Defaults to ``'affinity'``.
        **kwargs (Any): Those of mmengine's ``BaseMetric``.
    """

    def __init__(self, prefix: str = 'affinity', **kwargs: Any) -> None:
        super().__init__(prefix=prefix, **kwargs)

    def new_counts(self) -> tuple:
        """Return empty histograms."""
        return (_PairHistograms(), )

    def count(self, sample: dict) -> tuple:
        """Count the pairs of an image.

        Args:
            sample (dict): With ``pair_affinity``, ``pair_grid`` and ``pair_radius`` of the model's ``predict``, and
                ``gt_sem_seg`` at the size of its input.

        Raises:
            KeyError: The sample lacks one of them.
            ValueError: An affinity is NaN or infinite; the image is named.
        """
        pairs = read_field(sample, 'pair_affinity', 'the model must be an AffinityNet').cpu().float()
        if not pairs.isfinite().all():
            raise ValueError(f'pair_affinity of {image_name(sample)} holds NaN or infinite values')
        mask = read_field(sample, 'gt_sem_seg', 'the pipeline must load masks (LoadAnnotations)')['data']
        labels = pair_labels(_cell_labels(mask.cpu(), sample['pair_grid'])[None], sample['pair_radius'])
        found = _PairHistograms()
        bins = (pairs * _AFFINITY_BINS).long().clamp(max=_AFFINITY_BINS - 1)
        for counts, kind in zip(found.counts, labels):
            counts += torch.bincount(bins[kind[0]], minlength=_AFFINITY_BINS)
        return (found, )

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute means and areas from the histograms of all ranks."""
        counts = self.merged(results)[0].counts.double()
        shares = counts / counts.sum(dim=1, keepdim=True)
        middles = (torch.arange(_AFFINITY_BINS) + 0.5) / _AFFINITY_BINS
        means = {name: 100 * float((share * middles).sum()) for name, share in zip(PairLabels._fields, shares)}
        below = shares[2].cumsum(0) - shares[2] / 2
        areas = {f'{name}_auc': 100 * float((share * below).sum())
                 for name, share in zip(PairLabels._fields[:2], shares)}
        return {**means, **areas}


class _PairHistograms:
    """Affinities of each kind of pair, counted in bins: (3, bins) int64."""

    def __init__(self) -> None:
        self.counts = torch.zeros(len(PairLabels._fields), _AFFINITY_BINS, dtype=torch.long)

    def merge(self, other: '_PairHistograms') -> None:
        """Add the pairs of another accumulator."""
        self.counts += other.counts


def _log_notes(result: EvaluationResult, title: str) -> None:
    """Log the notes of a result about classes that do not occur in the masks."""
    for note in result.notes:
        print_log(title + note, logger='current', level=logging.WARNING)


def _finite_scores(sample: dict, field: str, hint: str = 'the model must predict them') -> Tensor:
    """Return the class scores (C,) of a sample, after checking that they are numbers."""
    scores = torch.as_tensor(read_field(sample, field, hint))
    wrong = int((~scores.isfinite()).sum())
    if wrong:
        raise ValueError(f'{field} of {image_name(sample)}: {wrong} of {len(scores)} class scores are NaN or infinite')
    return scores


def _average_precision(true: Tensor, scores: Tensor) -> float:
    """Average over the true classes: the share of true ones among those that score at least as high; all are (C,)."""
    above = scores >= scores[true][:, None]
    return float(((above & true).sum(dim=1) / above.sum(dim=1)).mean())


def _image_f1(predicted: Tensor, true: Tensor) -> Optional[float]:
    """Return the F1 score of the predicted classes (C,) bool of an image; None without a predicted or true class."""
    if predicted.shape != true.shape:
        raise ValueError(f'predicted and true labels differ in shape: {tuple(predicted.shape)} and '
                         f'{tuple(true.shape)}')
    true = true.to(predicted.device)
    total = int(predicted.sum() + true.sum())
    return 2 * int((predicted & true).sum()) / total if total else None


def _cell_labels(mask: Tensor, grid: tuple[int, int], stride: int = 8) -> Tensor:
    """Return the labels (h, w) in the middle of the cells of a mask (1, H, W); 255 beyond it."""
    rows, cols = (stride * side for side in grid)
    padded = F.pad(mask, (0, cols - mask.shape[-1], 0, rows - mask.shape[-2]), value=IGNORE_INDEX)
    return padded[0, stride // 2::stride, stride // 2::stride]
