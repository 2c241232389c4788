"""The metric of class scores during validation and testing."""

from collections.abc import Sequence
from typing import Optional

import torch

from mmwsss.registry import METRICS

from .counting_metric import CountingMetric, read_field
from .image_ap import ImageAP

__all__ = ['ImageMAP']


@METRICS.register_module()
class ImageMAP(CountingMetric):
    """Classification as MCTformer's code validates it: mean over images of the AP over the classes of the image.

    Metric: ``mAP``, in percent with two decimals; images without labels are left out (:class:`ImageAP`). This is not
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
        """Make an empty accumulator."""
        return (ImageAP(), )

    def count(self, sample: dict) -> tuple:
        """Rank the classes of one image.

        Args:
            sample (dict): With ``gt_label`` (C,) multi-hot, and the scores.

        Raises:
            KeyError: The sample lacks one of these.
            ValueError: They do not fit each other; the image is named.
        """
        counts = self.new_counts()
        scores = read_field(sample, self.logits_field, "does the model's predict give class scores?")
        label = torch.as_tensor(read_field(sample, 'gt_label', 'use an image-label dataset'))
        try:
            counts[0].update(scores, label > 0)
        except ValueError as error:
            raise ValueError(f'{self.logits_field} of {sample.get("img_path", "a sample")}: {error}') from error
        return counts

    def compute_metrics(self, results: Sequence[tuple]) -> dict:
        """Compute the metric.

        Args:
            results (Sequence[tuple]): An :class:`ImageAP` per rank.

        Returns:
            dict[str, float]: ``mAP``, without prefix.
        """
        return {'mAP': round(self.merged(results)[0].compute(), 2)}
