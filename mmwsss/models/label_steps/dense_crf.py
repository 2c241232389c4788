"""Dense conditional random field over the pixels of an image, on pydensecrf or in torch tensors."""

from collections.abc import Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any, Optional, Union

import cv2
import numpy as np
import torch
from torch import Tensor

from mmwsss.registry import MODELS
from mmwsss.utils import closest

from .base import LabelStep
from .batch import LabelBatch
from .crf_presets import CRF_PRESETS
from .scores import resized_scores
from .torch_crf import TensorCRF

__all__ = ['DenseCRF', 'label_probabilities']

_LEAST_PROBABILITY = 1e-5


Array = Union[np.ndarray, Tensor]


@MODELS.register_module()
class DenseCRF(LabelStep):
    """Fully connected CRF over the pixels of one image (Kraehenbuehl and Koltun, NeurIPS 2011).

    The unary energy is -log of the probabilities, clipped to [1e-5, 1]; they need not sum to 1. Potts
    compatibilities, diagonal kernels and symmetric normalization. The defaults are ToCo's, of its final segmentation
    on VOC and COCO; other published settings: :data:`CRF_PRESETS`.

    It is a label step, and may also be called with one image and its probabilities.

    Args:
        num_iters (int): Mean-field iterations. Defaults to 10.
        gaussian_sxy (float): Standard deviation of positions in the smoothness kernel, in pixels. Defaults to 1.
        gaussian_compat (float): Weight of the smoothness kernel. Defaults to 1.
        bilateral_sxy (float): Standard deviation of positions in the appearance kernel, in pixels. Defaults to 121.
        bilateral_srgb (float): Standard deviation of colors in the appearance kernel, in units of 0 to 255. Defaults
            to 5.
        bilateral_compat (float): Weight of the appearance kernel. Defaults to 4.
        stride (int): Run on the image and the probabilities averaged down to one ``stride``-th of their sides, with
            positions measured in the pixels of the original, and enlarge the result: an approximation for large images.
        preset (str, optional): Key of :data:`CRF_PRESETS`; its settings replace the defaults.
        winners_only (bool): As a label step, run the planes that are the largest at one pixel or more, background
            included, among themselves, and set the others to 0.
        backend (str): ``'pydensecrf'``, on the CPU, where labels are made in worker processes; or ``'torch'``, the same
            filters in tensors, where the network runs. The marginals of both agree to 0.02. On a CPU, ``'torch'`` takes
            half as long again; it is meant for GPUs, and for where pydensecrf cannot be installed.

    Raises:
        ImportError: If pydensecrf is to be used and is not installed.
        ValueError: If a standard deviation is not positive, ``num_iters`` is negative, ``stride`` below 1, or there is
            no such preset or backend.
    """

    needs = ('background', )

    def __init__(self,
                 num_iters: Optional[int] = None,
                 gaussian_sxy: Optional[float] = None,
                 gaussian_compat: Optional[float] = None,
                 bilateral_sxy: Optional[float] = None,
                 bilateral_srgb: Optional[float] = None,
                 bilateral_compat: Optional[float] = None,
                 stride: int = 1,
                 preset: Optional[str] = None,
                 winners_only: bool = False,
                 backend: str = 'pydensecrf') -> None:
        if backend not in ('pydensecrf', 'torch'):
            raise ValueError(f"backend must be 'pydensecrf' or 'torch', got {backend!r}.")
        if backend == 'pydensecrf':
            _import_pydensecrf()
        given = dict(num_iters=num_iters, gaussian_sxy=gaussian_sxy, gaussian_compat=gaussian_compat,
                     bilateral_sxy=bilateral_sxy, bilateral_srgb=bilateral_srgb, bilateral_compat=bilateral_compat)
        if preset is not None and preset not in CRF_PRESETS:
            raise ValueError(f'unknown CRF preset {preset!r}{closest(preset, CRF_PRESETS)}; there are '
                             f'{", ".join(CRF_PRESETS)}.')
        given = {key: value for key, value in given.items() if value is not None}
        found = {**CRF_PRESETS[preset or 'toco_seg'], **given}
        if found['num_iters'] < 0:
            raise ValueError(f'num_iters must not be negative, got {num_iters}.')
        if stride < 1:
            raise ValueError(f'stride must be 1 or more, got {stride}.')
        for name in ('gaussian_sxy', 'bilateral_sxy', 'bilateral_srgb'):
            if not found[name] > 0:
                raise ValueError(f'{name} must be positive, got {found[name]}.')
        self.num_iters = found['num_iters']
        self.gaussian_sxy = found['gaussian_sxy']
        self.gaussian_compat = found['gaussian_compat']
        self.bilateral_sxy = found['bilateral_sxy']
        self.bilateral_srgb = found['bilateral_srgb']
        self.bilateral_compat = found['bilateral_compat']
        self.stride = stride
        self.winners_only = winners_only
        self.backend = backend
        if backend == 'torch':
            self.device = 'model'

    def identity(self) -> dict[str, Any]:
        """Return all settings that determine the result; the backend only where it is not pydensecrf."""
        left_out = ('device', 'backend') if self.backend == 'pydensecrf' else ('device', )
        return {name: value for name, value in super().identity().items() if name not in left_out}

    @classmethod
    def from_preset(cls, name: str) -> 'DenseCRF':
        """Build the CRF of a published setting.

        Args:
            name: Key of :data:`CRF_PRESETS`.

        Raises:
            ValueError: If there is no such preset.
        """
        return cls(preset=name)

    def transform(self, batch: LabelBatch) -> LabelBatch:
        """Refine the scores of every image at its size, among background and the classes it shows.

        The kernels of an image are prepared once for all background levels and for all steps of the same settings.

        Raises:
            ValueError: Images are not in the expected range, or scores are not finite.
        """
        scores = resized_scores(batch, batch.size)
        found = torch.zeros_like(scores)
        images = _as_uint8(batch.images).permute(0, 2, 3, 1).cpu().numpy()
        for k, image in enumerate(images):  # pydensecrf processes one image at a time.
            planes = batch.filled[k].nonzero().flatten()
            refined = self._refine_levels(image, scores[k][:, planes].float().cpu().numpy(), batch, k, scores.device)
            found[k][:, planes] = torch.from_numpy(refined).to(scores)
        return replace(batch, scores=found)

    def _refine_levels(self, image: np.ndarray, stacks: np.ndarray, batch: LabelBatch, index: int,
                       device: torch.device) -> np.ndarray:
        """Refine the levels (T, K, H, W) of one image."""
        if not self.winners_only:
            return np.stack(self.refine_all(image, list(stacks), (batch.cache, id(batch.images), index), device))
        found = []
        for probs in stacks:
            winners = np.zeros(len(probs), bool)
            winners[np.unique(probs.argmax(0))] = True
            found.append(self.refine_present(image, probs, winners, device))
        return np.stack(found)

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
            refined, = self.refine_all(image, [probs.detach().float().cpu().numpy()], device=probs.device)
            return torch.from_numpy(refined).to(probs.device)
        return self.refine_all(image, [probs])[0]

    def refine_all(self, image: Array, stacks: Sequence[np.ndarray],
                   shared: Optional[tuple[dict, int, int]] = None,
                   device: Union[str, torch.device] = 'cpu') -> list[np.ndarray]:
        """Refine several probability maps of one image; its kernels, a quarter of the work, are prepared once.

        Args:
            image: RGB, uint8. (H, W, 3).
            stacks: Probabilities or scores in [0, 1], each (K, H, W).
            shared: A dictionary that caches prepared kernels for further calls, and two numbers that identify the
                image in it.
            device: Where ``backend='torch'`` computes.

        Returns:
            Marginals of each, as from a call.

        Raises:
            TypeError: If the image is not uint8.
            ValueError: If the shapes do not fit, or a probability is NaN or infinite.
        """
        image = image.cpu().numpy() if isinstance(image, Tensor) else np.asarray(image)
        if image.dtype != np.uint8:
            raise TypeError(f'the image must be uint8 with colors of 0 to 255, got {image.dtype}.')
        for probs in stacks:
            if probs.ndim != 3 or image.shape != (*probs.shape[1:], 3) or probs.shape != stacks[0].shape:
                raise ValueError(f'image {image.shape} and probs {probs.shape} do not fit (H, W, 3) and (K, H, W).')
            if not np.isfinite(probs).all():
                raise ValueError('the dense CRF got scores that are NaN or infinite: has the training diverged?')
        if not len(stacks) or len(stacks[0]) == 1:
            return [np.ones(probs.shape, np.float32) for probs in stacks]
        size = image.shape[:2]
        reduced = tuple(-(-side // self.stride) for side in size)
        crf = self._prepared(image, reduced, len(stacks[0]), shared, torch.device(device))
        return [_resized_planes(self._infer(crf, _resized_planes(probs, reduced)), size) for probs in stacks]

    def refine_present(self, image: Array, probs: Array, present: Array,
                       device: Union[str, torch.device, None] = None) -> Array:
        """Refine some channels among themselves and set the others to 0, which costs less than refining all.

        Args:
            image: RGB, uint8. (H, W, 3).
            probs: Probabilities or scores in [0, 1]. (K, H, W).
            present: True for the channels to run; background included, if ``probs`` has one. (K, ).
            device: Where ``backend='torch'`` computes arrays; tensors where they are.

        Returns:
            Marginals as from a call, 0 in the channels left out. (K, H, W).

        Raises:
            ValueError: If no channel is present or the shapes do not fit.
        """
        chosen = np.asarray(present.cpu() if isinstance(present, Tensor) else present).astype(bool)
        if chosen.shape != (len(probs), ) or not chosen.any():
            raise ValueError(f'present must mark one or more of the {len(probs)} channels, got {chosen.tolist()}.')
        index = np.flatnonzero(chosen)
        if device is None or isinstance(probs, Tensor):
            refined = self(image, probs[index])
        else:
            refined, = self.refine_all(image, [probs[index]], device=device)
        out = torch.zeros_like(probs, dtype=torch.float32) if isinstance(probs, Tensor) else np.zeros(
            probs.shape, np.float32)
        out[index] = refined
        return out

    def _prepared(self, image: np.ndarray, size: tuple[int, int], classes: int,
                  shared: Optional[tuple[dict, int, int]], device: torch.device) -> Any:
        """Return the CRF, with the pairwise terms of an image that is resized to ``size``."""
        store, *image_key = shared or ({}, )
        key = (*image_key, classes, self.gaussian_sxy, self.gaussian_compat, self.bilateral_sxy, self.bilateral_srgb,
               self.bilateral_compat, self.stride, self.backend)
        if key not in store:
            store[key] = self._build(np.ascontiguousarray(_resized(image, size)), classes, device)
        return store[key]

    def _build(self, pixels: np.ndarray, classes: int, device: torch.device) -> Any:
        gaussian = self.gaussian_sxy / self.stride, self.gaussian_compat
        bilateral = self.bilateral_sxy / self.stride, self.bilateral_srgb, self.bilateral_compat
        if self.backend == 'torch':
            return TensorCRF(pixels, gaussian, bilateral, device)
        crf = _import_pydensecrf().DenseCRF2D(pixels.shape[1], pixels.shape[0], classes)
        crf.addPairwiseGaussian(sxy=gaussian[0], compat=gaussian[1])
        crf.addPairwiseBilateral(sxy=bilateral[0], srgb=bilateral[1], rgbim=pixels, compat=bilateral[2])
        return crf

    def _infer(self, crf: Any, probs: np.ndarray) -> np.ndarray:
        flat = np.ascontiguousarray(probs, np.float32).reshape(len(probs), -1)
        energy = -np.log(np.clip(flat, _LEAST_PROBABILITY, 1))
        if self.backend == 'torch':
            return crf.infer(energy, self.num_iters).reshape(probs.shape)
        crf.setUnaryEnergy(energy)
        return np.array(crf.inference(self.num_iters), np.float32).reshape(probs.shape)


def _resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize (H, W) or (H, W, 3) to (height, width) by averages or bilinearly; do nothing if it has that size."""
    if image.shape[:2] == size:
        return image
    shrinks = size[0] < image.shape[0] or size[1] < image.shape[1]
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _resized_planes(planes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize planes (K, H, W), which sum to 1 afterward where they did before."""
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


def _as_uint8(images: Tensor) -> Tensor:
    """Return images (B, 3, H, W) as integers of 0 to 255.

    Raises:
        ValueError: They are floating point and not in [0, 1].
    """
    if images.dtype == torch.uint8:
        return images
    if images.numel() and not (images.min() >= 0 and images.max() <= 1):
        raise ValueError('the dense CRF needs images that are uint8, or floating point in [0, 1]; normalized images '
                         'have other colors')
    return (images * 255).round().to(torch.uint8)


def _import_pydensecrf() -> ModuleType:
    try:
        import pydensecrf.densecrf as densecrf
    except ImportError as error:
        raise ImportError('DenseCRF needs pydensecrf. Install a version that builds with current compilers: '
                          'pip install pydensecrf2') from error
    return densecrf
