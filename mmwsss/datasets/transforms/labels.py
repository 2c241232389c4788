"""Label maps of a sample: ground truth beside pseudo labels, and labels for AffinityNet on its coarse grid."""

from collections.abc import Sequence
from pathlib import Path

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform

from mmwsss.registry import TRANSFORMS

from ..map_files import read_scores

__all__ = ['LoadAffinityScores', 'LoadTrueMask', 'PoolAffinityLabels', 'StrideLabels']

_IGNORED = 255


@TRANSFORMS.register_module()
class LoadAffinityScores(BaseTransform):
    """Load class scores with a strong and with a weak background (PSA, CVPR 2018, Sec. 3.2).

    They are read from ``<folder>/<image id>.npz`` (or ``.npy``) beside the image's label map, where
    ``tools/make_pseudo_labels.py --crf-alphas`` puts them.

    Args:
        folders: Names of the folders with the strong background (low alpha) and with the weak one (high alpha).

    Raises:
        ValueError: If there are not two folders.
    """

    def __init__(self, folders: Sequence[str] = ('crf_1', 'crf_12')) -> None:
        if len(folders) != 2:
            raise ValueError(f'folders must name those of the low and of the high alpha, got {tuple(folders)}')
        self.folders = tuple(folders)

    def transform(self, results: dict) -> dict:
        """Add ``affinity_scores`` (H, W, 2 K) float32: K scores of either folder, background first.

        Stored maps smaller than the image are enlarged.

        Raises:
            FileNotFoundError: The image has no such file.
            ValueError: A file is damaged, or the two hold different classes.
        """
        planes, values = zip(*(read_scores(self._path(results, folder)) for folder in self.folders))
        if values[0].tolist() != values[1].tolist():
            raise ValueError(f'the maps in {self.folders[0]} have the classes {values[0].tolist()}, those in '
                             f'{self.folders[1]} {values[1].tolist()}: make both again with one command')
        height, width = results['img'].shape[:2]
        scores = np.concatenate(planes).astype(np.float32).transpose(1, 2, 0)
        if scores.shape[:2] != (height, width):
            scores = np.dstack([mmcv.imresize(np.ascontiguousarray(scores[..., k]), (width, height))
                                for k in range(scores.shape[2])])
        results['affinity_scores'] = scores
        results['seg_fields'] = [*results.get('seg_fields', ()), 'affinity_scores']
        return results

    def _path(self, results: dict, folder: str) -> Path:
        image_id = results['image_id']
        # An image id may have folders of its own.
        root = Path(results['seg_map_path']).parents[len(Path(image_id).parts) - 1]
        for suffix in ('npz', 'npy'):
            path = root / folder / f'{image_id}.{suffix}'
            if path.is_file():
                return path
        raise FileNotFoundError(f'there are no class scores {root / folder / image_id}.npz: make them with '
                                'tools/make_pseudo_labels.py --crf-alphas, and name the folders of the two alphas in '
                                f'{type(self).__name__}(folders=...)')

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(folders={self.folders})'


@TRANSFORMS.register_module()
class PoolAffinityLabels(BaseTransform):
    """Turn class scores with two backgrounds into labels of cells (PSA, CVPR 2018, Sec. 3.2).

    Scores are averaged over cells. A cell is background if even the weak background has the largest score; it belongs
    to a class if the class has the largest score even beside the strong background. All other cells are 255, and so
    are cells without scores, which are padding.

    Args:
        stride: Side of a cell in pixels.
        eps: Least score of a cell that is not padding.
    """

    def __init__(self, stride: int = 8, eps: float = 1e-5) -> None:
        self.stride = stride
        self.eps = eps

    def transform(self, results: dict) -> dict:
        """Replace ``affinity_scores`` (H, W, 2 K) by ``gt_seg_map`` (h, w) uint8: 0, 255, or the index of the class.

        Classes are numbered from 1 in the order of the scores: it only matters whether two are equal.

        Raises:
            ValueError: The image does not consist of whole cells.
        """
        scores = results.pop('affinity_scores')
        height, width, planes = scores.shape
        stride = self.stride
        if height % stride or width % stride:
            raise ValueError(f'an image of {height} x {width} pixels has no whole cells of {stride}: crop or resize it '
                             'to multiples before')
        cells = scores.reshape(height // stride, stride, width // stride, stride, planes).mean(axis=(1, 3))
        strong, weak = (part.argmax(axis=2) for part in np.split(cells, 2, axis=2))
        labels = np.where(strong == 0, _IGNORED, strong)
        labels[weak == 0] = 0
        labels[cells.max(axis=2) < self.eps] = _IGNORED
        results['gt_seg_map'] = labels.astype(np.uint8)
        results['seg_fields'] = ['gt_seg_map']
        return results

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(stride={self.stride}, eps={self.eps})'


@TRANSFORMS.register_module()
class StrideLabels(BaseTransform):
    """Reduce label maps to the grid of a network by nearest neighbor: the first pixel of every cell (TransCAM).

    Args:
        stride: Side of a cell in pixels.
    """

    def __init__(self, stride: int = 8) -> None:
        self.stride = stride

    def transform(self, results: dict) -> dict:
        """Replace what ``seg_fields`` names, (H, W), by (ceil(H / stride), ceil(W / stride))."""
        for name in results.get('seg_fields', ()):
            results[name] = np.ascontiguousarray(results[name][::self.stride, ::self.stride])
        return results

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(stride={self.stride})'


@TRANSFORMS.register_module()
class LoadTrueMask(BaseTransform):
    """Load the true mask beside a pseudo label, if :class:`~mmwsss.datasets.PseudoLabelDataset` knows its path.

    It follows the image through mmseg's geometry and arrives in the sample as ``true_sem_seg``, which no model trains
    on. Samples without ``truth_path`` pass unchanged.

    Args:
        ignore_wrong: Replace pseudo labels that differ from the truth by 255, so that only right ones are trained on:
            the upper bound of clipping (WeakTr, arXiv 2304.01184, Fig. 5). This uses the truth in training.
    """

    def __init__(self, ignore_wrong: bool = False) -> None:
        self.ignore_wrong = ignore_wrong

    def transform(self, results: dict) -> dict:
        """Add ``gt_true_map`` (H, W) uint8, the dataset's mapping of labels applied."""
        path = results.get('truth_path')
        if path is None:
            return results
        mask = mmcv.imread(path, flag='unchanged', backend='pillow')
        if mask.ndim != 2:
            raise ValueError(f'mask {path} has the shape {mask.shape}; index masks have one channel')
        table = np.arange(256, dtype=np.uint8)
        for old, new in (results.get('truth_label_map') or {}).items():
            table[old] = new
        results['gt_true_map'] = table[mask]
        results['seg_fields'].append('gt_true_map')
        if self.ignore_wrong:
            labels = results['gt_seg_map']
            results['gt_seg_map'] = np.where(labels == results['gt_true_map'], labels, 255).astype(labels.dtype)
        return results
