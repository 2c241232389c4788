"""Mean field of a dense conditional random field in torch tensors, on any device."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..utils import PermutohedralLattice

__all__ = ['LatticeKernel', 'TensorCRF']


class LatticeKernel:
    """A Gaussian kernel between all pixels of an image, symmetrically normalized, on the permutohedral lattice.

    Args:
        features: (D, N) positions and colors of the pixels, divided by their standard deviations.
        weight: Factor of the kernel.
    """

    def __init__(self, features: Tensor, weight: float) -> None:
        self._lattice = PermutohedralLattice(features[None])
        ones = torch.ones_like(features[:1])[None]
        self._norm = self._lattice.filter(ones).add_(1e-20).rsqrt_()
        self._weight = weight

    def __call__(self, probs: Tensor) -> Tensor:
        """Return the weighted messages (1, K, N) to all pixels from probabilities (1, K, N)."""
        return self._lattice.filter(probs * self._norm).mul_(self._norm).mul_(self._weight)


class TensorCRF:
    """The fully connected CRF of one image, with Potts compatibilities, as pydensecrf computes it.

    Its kernels are prepared once for any number of probability maps.

    Args:
        image: (H, W, 3) uint8 RGB.
        gaussian: Standard deviation of positions in pixels, and weight, of the smoothness kernel.
        bilateral: Standard deviations of positions in pixels and of colors in units of 0 to 255, and weight, of the
            appearance kernel.
        device: Where to compute.
    """

    def __init__(self, image: np.ndarray, gaussian: Sequence[float], bilateral: Sequence[float],
                 device: torch.device) -> None:
        height, width = image.shape[:2]
        rows = torch.arange(height, dtype=torch.float32, device=device)
        cols = torch.arange(width, dtype=torch.float32, device=device)
        places = torch.stack(torch.meshgrid(cols, rows, indexing='xy')).flatten(1)
        colors = torch.from_numpy(np.ascontiguousarray(image)).to(device).float().flatten(0, 1).T
        self._kernels = (
            LatticeKernel(places / gaussian[0], gaussian[1]),
            LatticeKernel(torch.cat([places / bilateral[0], colors / bilateral[1]]), bilateral[2]))
        self._device = device

    @torch.no_grad()
    def infer(self, energy: np.ndarray, num_iters: int) -> np.ndarray:
        """Run mean field.

        Args:
            energy: (K, N) float32 unary energies.
            num_iters: Number of iterations.

        Returns:
            (K, N) float32 marginals.
        """
        unary = -torch.from_numpy(energy).to(self._device)[None]
        probs = unary.softmax(dim=1)
        for _ in range(num_iters):
            probs = sum((kernel(probs) for kernel in self._kernels), unary).softmax(dim=1)
        return probs[0].cpu().numpy()
