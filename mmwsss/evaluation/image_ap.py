"""Average precision of multi-label classification within each image, accumulated exactly."""

from fractions import Fraction

from torch import Tensor

__all__ = ['ImageAP']


class ImageAP:
    """Mean over images of the average precision of the classes' ranking within the image.

    AP of an image is the mean over its true classes c of the share of true classes among those that score at least as
    high as c (ties count as one threshold). The sum is kept as a fraction, so the result does not depend on the order
    of images or of ranks. An image without true classes has no AP and is left out.
    """

    def __init__(self) -> None:
        self._sum = Fraction(0)
        self.num_images = 0

    def update(self, scores: Tensor, true: Tensor) -> None:
        """Add one image.

        Args:
            scores (Tensor): (C,) logits, or anything that ranks like them.
            true (Tensor): (C,) bool.

        Raises:
            ValueError: The two differ in length, or a score is NaN.
        """
        if scores.shape != true.shape:
            raise ValueError(f'scores and true labels differ in shape: {tuple(scores.shape)} and {tuple(true.shape)}')
        if scores.isnan().any():
            raise ValueError(f'{int(scores.isnan().sum())} of {len(scores)} class scores are NaN')
        true = true.to(scores.device)
        if not true.any():
            return
        not_lower = scores[None] >= scores[true][:, None]
        hits, taken = not_lower[:, true].sum(1).tolist(), not_lower.sum(1).tolist()
        self._sum += sum(map(Fraction, hits, taken)) / len(hits)
        self.num_images += 1

    def merge(self, other: 'ImageAP') -> None:
        """Add the images of another accumulator."""
        self._sum += other._sum
        self.num_images += other.num_images

    def compute(self) -> float:
        """The mean AP in percent; NaN without images."""
        return float(100 * self._sum / self.num_images) if self.num_images else float('nan')
