"""Dense conditional random field as a refiner of probabilities, on pydensecrf."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any, Union

import cv2
import numpy as np
import torch
from torch import Tensor

from mmwsss.registry import MODELS

__all__ = ['CRF_PRESETS', 'DenseCRF', 'label_probabilities']

_LEAST_PROBABILITY = 1e-5


def _setting(num_iters: int, gaussian: tuple[float, float], bilateral: tuple[float, float, float]) -> dict:
    return dict(num_iters=num_iters, gaussian_sxy=gaussian[0], gaussian_compat=gaussian[1],
                bilateral_sxy=bilateral[0], bilateral_srgb=bilateral[1], bilateral_compat=bilateral[2])


CRF_PRESETS: dict[str, dict] = {
    'toco_seg': _setting(10, (1, 1), (121, 5, 4)),
    'toco_label': _setting(10, (3, 3), (36, 3, 4)),
    'mctformer_cam': _setting(10, (3, 3), (80, 13, 10)),
    'mctformer_seg': _setting(10, (4, 3), (83, 5, 3)),
    'aream_cam': _setting(10, (3, 3), (80, 13, 10)),
    'aream_seg': _setting(10, (4, 3), (83, 5, 3)),
    'weaktr_label_voc': _setting(10, (4, 3), (83, 5, 3)),
    'weaktr_label_coco': _setting(10, (3, 3), (50, 5, 10)),
    'weaktr_seg_voc': _setting(10, (3, 3), (83, 5, 3)),
    'weaktr_seg_coco': _setting(10, (1, 3), (67, 3, 4)),
    'transcam_label': _setting(10, (3, 3), (50, 5, 10)),
    'transcam_seg': _setting(1, (3, 3), (32, 13, 10)),
    'deeplab_v2': _setting(10, (1, 3), (67, 3, 4)),
}
"""Published settings by name: ``*_seg`` refine the probabilities of a segmentation network, ``*_cam`` and
``toco_label`` class maps with a background plane, other ``*_label*`` hard labels (:func:`label_probabilities`)."""

Array = Union[np.ndarray, Tensor]


@MODELS.register_module()
class DenseCRF:
    """Fully connected CRF over the pixels of one image (Kraehenbuehl and Koltun, NeurIPS 2011).

    The unary energy is -log of the probabilities, clipped to [1e-5, 1]; they need not sum to 1. Potts
    compatibilities, diagonal kernels and symmetric normalisation. The defaults are ToCo's, of its final segmentation
    on VOC and COCO; other published settings: :data:`CRF_PRESETS`.

    Args:
        num_iters: Mean-field iterations.
        gaussian_sxy: Standard deviation of positions in the smoothness kernel, in pixels.
        gaussian_compat: Weight of the smoothness kernel.
        bilateral_sxy: Standard deviation of positions in the appearance kernel, in pixels.
        bilateral_srgb: Standard deviation of colours in the appearance kernel, in units of 0 to 255.
        bilateral_compat: Weight of the appearance kernel.
        stride: Run on the image and the probabilities averaged down to one ``stride``-th of their sides, with positions
            measured in the pixels of the original, and enlarge the result: an approximation for large images.

    Raises:
        ImportError: If pydensecrf is not installed.
        ValueError: If a standard deviation is not positive, ``num_iters`` is negative or ``stride`` below 1.
    """

    def __init__(self,
                 num_iters: int = 10,
                 gaussian_sxy: float = 1,
                 gaussian_compat: float = 1,
                 bilateral_sxy: float = 121,
                 bilateral_srgb: float = 5,
                 bilateral_compat: float = 4,
                 stride: int = 1) -> None:
        _import_pydensecrf()
        if num_iters < 0:
            raise ValueError(f'num_iters must not be negative, got {num_iters}.')
        if stride < 1:
            raise ValueError(f'stride must be 1 or more, got {stride}.')
        for name, value in dict(gaussian_sxy=gaussian_sxy, bilateral_sxy=bilateral_sxy,
                                bilateral_srgb=bilateral_srgb).items():
            if not value > 0:
                raise ValueError(f'{name} must be positive, got {value}.')
        self.num_iters = num_iters
        self.gaussian_sxy = gaussian_sxy
        self.gaussian_compat = gaussian_compat
        self.bilateral_sxy = bilateral_sxy
        self.bilateral_srgb = bilateral_srgb
        self.bilateral_compat = bilateral_compat
        self.stride = stride

    @classmethod
    def from_preset(cls, name: str) -> 'DenseCRF':
        """Make the CRF of a published setting.

        Args:
            name: Key of :data:`CRF_PRESETS`.

        Raises:
            ValueError: If there is no such preset.
        """
        if name not in CRF_PRESETS:
            raise ValueError(f'unknown CRF preset {name!r}; there are {", ".join(CRF_PRESETS)}.')
        return cls(**CRF_PRESETS[name])

    def __call__(self, image: Array, probs: Array) -> Array:
        """Refine the probabilities of one image.

        Args:
            image: RGB, uint8. (H, W, 3).
            probs: Probabilities or scores in [0, 1]. (K, H, W).

        Returns:
            Marginals, summing to 1 over K, of the same kind (and device) as ``probs``, float32. (K, H, W).

        Raises:
            TypeError: If the image is not uint8.
            ValueError: If the shapes do not fit.
        """
        if isinstance(probs, Tensor):
            refined = self(image, probs.detach().float().cpu().numpy())
            return torch.from_numpy(refined).to(probs.device)
        return self.refine_all(image, [probs])[0]

    def refine_all(self, image: Array, stacks: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Refine several probabilities of one image; its kernels, a quarter of the work, are prepared once.

        Args:
            image: RGB, uint8. (H, W, 3).
            stacks: Probabilities or scores in [0, 1], each (K, H, W).

        Returns:
            Marginals of each, as from a call.

        Raises:
            TypeError: If the image is not uint8.
            ValueError: If the shapes do not fit.
        """
        image = image.cpu().numpy() if isinstance(image, Tensor) else np.asarray(image)
        if image.dtype != np.uint8:
            raise TypeError(f'the image must be uint8 with colours of 0 to 255, got {image.dtype}.')
        for probs in stacks:
            if probs.ndim != 3 or image.shape != (*probs.shape[1:], 3) or probs.shape != stacks[0].shape:
                raise ValueError(f'image {image.shape} and probs {probs.shape} do not fit (H, W, 3) and (K, H, W).')
        if not len(stacks) or len(stacks[0]) == 1:
            return [np.ones(probs.shape, np.float32) for probs in stacks]
        size = image.shape[:2]
        reduced = tuple(-(-side // self.stride) for side in size)
        crf = self._prepared(np.ascontiguousarray(_resized(image, reduced)), len(stacks[0]))
        return [_resized_planes(self._infer(crf, _resized_planes(probs, reduced)), size) for probs in stacks]

    def refine_present(self, image: Array, probs: Array, present: Array) -> Array:
        """Refine some channels among themselves and give the others 0, which costs less than running all.

        Args:
            image: RGB, uint8. (H, W, 3).
            probs: Probabilities or scores in [0, 1]. (K, H, W).
            present: True for the channels to run; background included, if ``probs`` has one. (K, ).

        Returns:
            Marginals as from a call, 0 in the channels left out. (K, H, W).

        Raises:
            ValueError: If no channel is present or the shapes do not fit.
        """
        chosen = np.asarray(present.cpu() if isinstance(present, Tensor) else present).astype(bool)
        if chosen.shape != (len(probs), ) or not chosen.any():
            raise ValueError(f'present must mark one or more of the {len(probs)} channels, got {chosen.tolist()}.')
        index = np.flatnonzero(chosen)
        refined = self(image, probs[index])
        out = torch.zeros_like(probs, dtype=torch.float32) if isinstance(probs, Tensor) else np.zeros(
            probs.shape, np.float32)
        out[index] = refined
        return out

    def _prepared(self, image: np.ndarray, classes: int) -> Any:
        """Pydensecrf's object with the pairwise terms of an image."""
        height, width = image.shape[:2]
        crf = _import_pydensecrf().DenseCRF2D(width, height, classes)
        crf.addPairwiseGaussian(sxy=self.gaussian_sxy / self.stride, compat=self.gaussian_compat)
        crf.addPairwiseBilateral(sxy=self.bilateral_sxy / self.stride, srgb=self.bilateral_srgb, rgbim=image,
                                 compat=self.bilateral_compat)
        return crf

    def _infer(self, crf: Any, probs: np.ndarray) -> np.ndarray:
        flat = np.ascontiguousarray(probs, np.float32).reshape(len(probs), -1)
        crf.setUnaryEnergy(-np.log(np.clip(flat, _LEAST_PROBABILITY, 1)))
        return np.array(crf.inference(self.num_iters), np.float32).reshape(probs.shape)


def _resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Average (H, W) or (H, W, 3) down or enlarge it bilinearly to (height, width); itself where it has that size."""
    if image.shape[:2] == size:
        return image
    shrinks = size[0] < image.shape[0] or size[1] < image.shape[1]
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _resized_planes(planes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize planes (K, H, W), which sum to 1 afterwards where they did before."""
    if planes.shape[1:] == size:
        return planes
    return np.stack([_resized(np.ascontiguousarray(plane, np.float32), size) for plane in planes])


def label_probabilities(labels: np.ndarray, num_labels: int, confidence: float = 0.7) -> np.ndarray:
    """Turn hard labels into probabilities for a CRF: ``confidence`` on the label, the rest spread evenly.

    Args:
        labels: 0 to ``num_labels - 1``. (H, W).
        num_labels: Number of labels, 2 or more.
        confidence: Probability that a label is right, in (0, 1].

    Returns:
        Probabilities. (num_labels, H, W), float32.

    Raises:
        ValueError: If ``num_labels`` is below 2, a label is out of range, or the confidence is.
    """
    if num_labels < 2 or not 0 < confidence <= 1:
        raise ValueError(f'num_labels must be 2 or more and confidence in (0, 1], got {num_labels} and {confidence}.')
    if labels.min() < 0 or labels.max() >= num_labels:
        raise ValueError(f'labels must be 0 to {num_labels - 1}, got {labels.min()} to {labels.max()}.')
    probs = np.full((num_labels, *labels.shape), (1 - confidence) / (num_labels - 1), np.float32)
    np.put_along_axis(probs, labels[None].astype(np.int64), confidence, axis=0)
    return probs


def _import_pydensecrf() -> ModuleType:
    try:
        import pydensecrf.densecrf as densecrf
    except ImportError as error:
        raise ImportError('DenseCRF needs pydensecrf. Install a version that builds with current compilers: '
                          'pip install pydensecrf2') from error
    return densecrf
