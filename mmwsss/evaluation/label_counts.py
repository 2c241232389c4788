"""Quality of label maps from running counts."""

import numpy as np

from .rates import class_rates, summarize_rates

__all__ = ['LabelCounts']


class LabelCounts:
    """Per-class IoU and error rates of label maps, some of whose pixels may be undecided (``ignore_index``).

    Args:
        num_classes (int): K, with background, which is class 0.
        ignore_index (int): Value of pixels that do not count in the ground truth, and that a label map
            leaves undecided. Defaults to 255.
        undecided (str): What undecided pixels are: ``'wrong'``: missed by their true class; ``'skip'``: not
            counted, so that only what the labels say is judged.

    Raises:
        ValueError: ``num_classes`` is below 2, or ``undecided`` is unknown.
    """

    def __init__(self, num_classes: int, ignore_index: int = 255, undecided: str = 'wrong') -> None:
        if num_classes < 2:
            raise ValueError(f'num_classes counts background and at least one class, so it is 2 or more, got '
                             f'{num_classes}')
        if undecided not in ('wrong', 'skip'):
            raise ValueError(f"undecided must be 'wrong' or 'skip', got {undecided!r}")
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.undecided = undecided
        # Rows: ground truth; columns: label, the last one for undecided pixels.
        self._confusion = np.zeros((num_classes, num_classes + 1), np.int64)

    def update(self, labels: np.ndarray, gt: np.ndarray) -> None:
        """Count one image.

        Args:
            labels (np.ndarray): (H, W) integers in 0..K-1 or ``ignore_index``.
            gt (np.ndarray): The same for the ground truth.

        Raises:
            ValueError: Sizes differ, or either holds a value that is no class.
        """
        if labels.shape != gt.shape:
            raise ValueError(f'the label map is {labels.shape}, its ground truth {gt.shape}')
        valid = gt != self.ignore_index
        gt, labels = gt[valid].astype(np.int64), labels[valid].astype(np.int64)
        undecided = labels == self.ignore_index
        self._check('gt', gt)
        self._check('labels', labels[~undecided])
        labels[undecided] = self.num_classes
        joint = np.bincount(gt * (self.num_classes + 1) + labels, minlength=self._confusion.size)
        self._confusion += joint.reshape(self._confusion.shape)

    def compute(self) -> dict:
        """The rates; see :func:`mmwsss.evaluation.class_rates`.

        Returns:
            dict: ``IoU``, ``class_FP``, ``class_FN``, ``precision``, ``recall`` (K,); their means ``mIoU``,
            ``FP``, ``FN``, ``mPrecision``, ``mRecall``; and ``undecided``, the share of undecided pixels. All
            in percent.
        """
        decided, undecided = self._confusion[:, :-1], self._confusion[:, -1]
        truth = decided.sum(1) + (undecided if self.undecided == 'wrong' else 0)
        rates = summarize_rates(class_rates(np.diag(decided), decided.sum(0), truth))
        total = self._confusion.sum()
        return {
            **{name: rate if rate.ndim else float(rate) for name, rate in rates.items()},
            'undecided': 100 * float(undecided.sum() / total) if total else float('nan'),
        }

    def _check(self, name: str, values: np.ndarray) -> None:
        """Refuse values that are no class."""
        if values.size and not 0 <= values.min() <= values.max() < self.num_classes:
            wrong = np.unique(values[(values < 0) | (values >= self.num_classes)])[:5].tolist()
            raise ValueError(f'{name} hold {wrong}, allowed are 0 to {self.num_classes - 1} and '
                             f'{self.ignore_index}')
