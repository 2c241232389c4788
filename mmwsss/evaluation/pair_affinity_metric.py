"""How well affinities of neighbouring cells tell equal labels from different ones."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mmwsss.models.utils import IGNORE_INDEX, PairLabels, pair_labels
from mmwsss.registry import METRICS

from .counting_metric import CountingMetric, read_field

__all__ = ['PairAffinityMetric']

_BINS = 1000


class _Histograms:
    """Affinities of each kind of pairs, counted in bins: (3, bins) int64."""

    def __init__(self) -> None:
        self.counts = torch.zeros(len(PairLabels._fields), _BINS, dtype=torch.long)

    def merge(self, other: '_Histograms') -> None:
        """Add the pairs of another one."""
        self.counts += other.counts


@METRICS.register_module()
class PairAffinityMetric(CountingMetric):
    """Affinities of :class:`~mmwsss.models.AffinityNet` against true masks.

    The label of a cell is that of the pixel in its middle; pairs with an ignored cell do not count. In percent:

    - ``background``, ``foreground``, ``negative``: mean affinity of pairs within the background, within a class, and
      of different labels;
    - ``background_auc``, ``foreground_auc``: how often such a pair has a larger affinity than a pair of different
      labels (area under the ROC curve, affinities in bins of 0.001, equal ones count half); 50 is chance.

    What does not occur is NaN.

    Args:
        prefix (str): Of the names.
        **kwargs (Any): As in mmengine's ``BaseMetric``.
    """

    def __init__(self, prefix: str = 'affinity', **kwargs: Any) -> None:
        super().__init__(prefix=prefix, **kwargs)

    def new_counts(self) -> tuple:
        """Make empty histograms."""
        return (_Histograms(), )

    def count(self, sample: dict) -> tuple:
        """Count the pairs of an image.

        Args:
            sample (dict): With ``pair_affinity``, ``pair_grid`` and ``pair_radius`` of the model's ``predict``, and
                ``gt_sem_seg`` at the size of its input.

        Raises:
            KeyError: The sample lacks one of them.
        """
        pairs = read_field(sample, 'pair_affinity', 'the model must be an AffinityNet').cpu().float()
        mask = read_field(sample, 'gt_sem_seg', 'the pipeline must load masks (LoadAnnotations)')['data']
        labels = pair_labels(_cell_labels(mask.cpu(), sample['pair_grid'])[None], sample['pair_radius'])
        found = _Histograms()
        bins = (pairs * _BINS).long().clamp(max=_BINS - 1)
        for counts, kind in zip(found.counts, labels):
            counts += torch.bincount(bins[kind[0]], minlength=_BINS)
        return (found, )

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Turn the histograms of all ranks into metrics."""
        counts = self.merged(results)[0].counts.double()
        shares = counts / counts.sum(dim=1, keepdim=True)
        middles = (torch.arange(_BINS) + 0.5) / _BINS
        means = {name: 100 * float((share * middles).sum()) for name, share in zip(PairLabels._fields, shares)}
        below = shares[2].cumsum(0) - shares[2] / 2
        areas = {f'{name}_auc': 100 * float((share * below).sum())
                 for name, share in zip(PairLabels._fields[:2], shares)}
        return {**means, **areas}


def _cell_labels(mask: Tensor, grid: tuple[int, int], stride: int = 8) -> Tensor:
    """Labels (h, w) in the middle of cells of a mask (1, H, W); 255 beyond it."""
    rows, cols = (stride * side for side in grid)
    padded = F.pad(mask, (0, cols - mask.shape[-1], 0, rows - mask.shape[-2]), value=IGNORE_INDEX)
    return padded[0, stride // 2::stride, stride // 2::stride]
