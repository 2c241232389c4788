"""Removal of pixels whose pseudo labels are probably wrong."""

import importlib
import warnings

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mmwsss.registry import MODELS

from ..utils import IGNORE_INDEX

__all__ = ['LossNoiseFilter']


@MODELS.register_module()
class LossNoiseFilter:
    """Drop the foreground labels of an image on which a segmentor has a loss as large as on wrong labels (DuPL).

    Segmentors learn right labels first, so that wrong ones keep a large loss. A mixture of two Gaussians is fitted to
    the losses above ``min_loss`` at the foreground pixels of an image. If their means are further apart than
    ``min_gap``, foreground pixels that belong to the one with the larger mean become 255.

    Args:
        min_loss: Losses up to this are not noise, and the mixture is not fitted to them.
        min_pixels: An image without more losses above ``min_loss`` than this keeps its labels.
        min_gap: Least distance of the two means.
        confidence: Posterior probability of the noisy component that a dropped pixel exceeds.

    Raises:
        ValueError: ``min_pixels`` is below 2, or ``confidence`` is not in [0, 1].
    """

    def __init__(self, min_loss: float = 0.1, min_pixels: int = 1000, min_gap: float = 1.0,
                 confidence: float = 0.95) -> None:
        if min_pixels < 2:
            raise ValueError(f'min_pixels must be 2 or more, got {min_pixels}')
        if not 0 <= confidence <= 1:
            raise ValueError(f'confidence must be in [0, 1], got {confidence}')
        self.min_loss = min_loss
        self.min_pixels = min_pixels
        self.min_gap = min_gap
        self.confidence = confidence

    @torch.no_grad()
    def __call__(self, seg_logits: Tensor, labels: Tensor) -> Tensor:
        """Return the labels without those that are probably wrong.

        Args:
            seg_logits: (B, K, H, W), background in channel 0; of the segmentor whose class maps made the labels.
            labels: (B, H, W) long, 255 where there is no label.

        Returns:
            (B, H, W) long.
        """
        cost = F.cross_entropy(seg_logits.float(), labels, reduction='none', ignore_index=IGNORE_INDEX)
        foreground = (labels != 0) & (labels != IGNORE_INDEX)
        noisy = torch.zeros_like(foreground)
        for losses, mask, found in zip(cost, foreground, noisy):
            found[mask] = torch.from_numpy(self._are_noise(losses[mask].cpu().numpy())).to(mask.device)
        return labels.masked_fill(noisy, IGNORE_INDEX)

    def _are_noise(self, losses: np.ndarray) -> np.ndarray:
        """Return which of the losses (N,) belong to wrong labels: (N,) bool."""
        large = losses[losses > self.min_loss, None]
        nothing = np.zeros(len(losses), bool)
        if len(large) <= self.min_pixels:
            return nothing
        # Imported here, because it takes a second.
        mixtures, exceptions = map(importlib.import_module, ('sklearn.mixture', 'sklearn.exceptions'))
        mixture = mixtures.GaussianMixture(n_components=2, max_iter=10, tol=1e-2, reg_covar=5e-4, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', exceptions.ConvergenceWarning)  # ten iterations are enough
            mixture.fit(large)
        low, high = sorted(mixture.means_[:, 0])
        if high - low <= self.min_gap:
            return nothing
        return mixture.predict_proba(losses[:, None])[:, mixture.means_.argmax()] > self.confidence
