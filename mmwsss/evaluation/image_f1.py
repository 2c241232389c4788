"""F1 score of multi-label image classification, accumulated exactly."""

from collections import Counter

from torch import Tensor

__all__ = ['ImageF1']


class ImageF1:
    """Mean over images of the F1 score between predicted and true label sets.

    F1 of an image is 2 TP / (predicted + true). How often each such fraction occurs is counted, so the
    result does not depend on the order of images or of ranks. An image with neither a predicted nor a
    true label has no F1 and is left out.
    """

    def __init__(self) -> None:
        self._fractions: Counter = Counter()

    def update(self, predicted: Tensor, true: Tensor) -> None:
        """Add one image.

        Args:
            predicted (Tensor): (C,) bool.
            true (Tensor): (C,) bool.

        Raises:
            ValueError: The two differ in length.
        """
        if predicted.shape != true.shape:
            raise ValueError(f'predicted and true labels differ in shape: {tuple(predicted.shape)} '
                             f'and {tuple(true.shape)}')
        true = true.to(predicted.device)
        total = int(predicted.sum() + true.sum())
        if total:
            self._fractions[2 * int((predicted & true).sum()), total] += 1

    def merge(self, other: 'ImageF1') -> None:
        """Add the images of another accumulator."""
        self._fractions.update(other._fractions)

    def compute(self) -> float:
        """The mean F1 in percent; NaN without images."""
        if not self.num_images:
            return float('nan')
        terms = [count * part / whole for (part, whole), count in sorted(self._fractions.items())]
        return 100 * sum(terms) / self.num_images

    @property
    def num_images(self) -> int:
        """Images that have an F1."""
        return sum(self._fractions.values())
