"""True masks beside pseudo labels, for looking and not for training."""

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform

from mmwsss.registry import TRANSFORMS

__all__ = ['LoadTrueMask']


@TRANSFORMS.register_module()
class LoadTrueMask(BaseTransform):
    """Load the mask that a pseudo label stands for, if :class:`~mmwsss.datasets.PseudoLabelDataset` knows where it is.

    It follows the image through mmseg's geometry and arrives in the sample as ``true_sem_seg``, which no model trains
    on. Samples without ``truth_path`` pass unchanged.
    """

    def transform(self, results: dict) -> dict:
        """Add ``gt_true_map`` (H, W) uint8, the dataset's mapping of labels applied."""
        path = results.get('truth_path')
        if path is None:
            return results
        mask = mmcv.imread(path, flag='unchanged', backend='pillow')
        table = np.arange(256, dtype=np.uint8)
        for old, new in (results.get('truth_label_map') or {}).items():
            table[old] = new
        results['gt_true_map'] = table[mask]
        results['seg_fields'].append('gt_true_map')
        return results
