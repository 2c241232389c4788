"""From the class maps of an image to its pseudo label on disk."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

import mmcv
import numpy as np
import torch

from mmwsss.datasets.map_files import BACKGROUND, write_cams, write_label_map
from mmwsss.models.refiners.dense_crf import CRF_PRESETS, DenseCRF, label_probabilities
from mmwsss.models.utils import IGNORE_INDEX

from .label_folder import label_note
from .label_settings import ALPHA_CRF, LabelSettings

__all__ = ['LabelJob', 'LabelMaker', 'PseudoLabelError', 'alpha_scores', 'labels_between', 'labels_from_scores',
           'read_image']


class PseudoLabelError(RuntimeError):
    """An image cannot be read, a label not be written, or a process was ended; the message says which."""


@dataclass(frozen=True)
class LabelJob:
    """One image on its way from the network to the disk.

    Args:
        img_path (str): The image.
        cams (np.ndarray): (P, H, W) float32 in [0, 1] at the size of the image, maps of present classes.
        channels (Sequence[int]): Their foreground channels, increasing.
        label_path (Path): Where the label map goes.
        labels (np.ndarray, optional): (H, W), where the label is known already.
        map_paths (dict): Where maps go, by the names of ``LabelSettings.map_folders``.
        num_classes (int): Foreground classes of the data.
        origin (str): What made the label, for :func:`~mmwsss.apis.label_folder.label_note`.
        background (np.ndarray, optional): (1, H, W) float32, the background plane, in place of constant ones at the
            thresholds.
    """

    img_path: str
    cams: np.ndarray
    channels: Sequence[int]
    label_path: Path
    labels: Optional[np.ndarray] = None
    map_paths: dict[str, Path] = field(default_factory=dict)
    num_classes: int = 0
    origin: str = ''
    background: Optional[np.ndarray] = None


def labels_from_scores(scores: np.ndarray, channels: Sequence[int]) -> np.ndarray:
    """Label each pixel with its best plane; the first of equal ones, so background wins ties.

    Args:
        scores (np.ndarray): (1 + P, H, W), background first.
        channels (Sequence[int]): Foreground channels of the other planes.

    Returns:
        np.ndarray: (H, W) uint8: 0, or channel + 1.
    """
    return _mask_values(channels)[scores.argmax(0)]


def labels_between(at_low: np.ndarray, at_high: np.ndarray) -> np.ndarray:
    """Merge labels of a low and a high background score.

    Args:
        at_low (np.ndarray): (H, W) label map with the low score.
        at_high (np.ndarray): The same with the high score.

    Returns:
        np.ndarray: (H, W) uint8: the foreground of ``at_high``; 0 where both are background; else 255.
    """
    background = np.where(at_low == 0, 0, IGNORE_INDEX)
    return np.where(at_high > 0, at_high, background).astype(np.uint8)


def alpha_scores(cams: np.ndarray, alpha: float) -> np.ndarray:
    """Put a background plane of ``(1 - max map) ** alpha`` before class maps (PSA, CVPR 2018, Eq. 2).

    Args:
        cams (np.ndarray): (P, H, W) in [0, 1].
        alpha (float): Exponent; the smaller, the stronger the background.

    Returns:
        np.ndarray: (1 + P, H, W) in [0, 1]; planes do not sum to 1.
    """
    background = (1 - cams.max(axis=0, keepdims=True, initial=0))**alpha
    return np.concatenate([background.astype(cams.dtype), cams])


def read_image(path: str) -> np.ndarray:
    """Decode an image file to (H, W, 3) uint8 RGB.

    Raises:
        PseudoLabelError: It cannot be read.
    """
    try:
        image = mmcv.imread(path, channel_order='rgb')
    except Exception as error:  # decoders raise about anything
        raise PseudoLabelError(f'image {path} cannot be read: {type(error).__name__}: {error}') from error
    if image is None:
        raise PseudoLabelError(f'image {path} cannot be read: it is damaged or no image')
    return image


class LabelMaker:
    """Makes and writes the files of jobs.

    Args:
        settings (LabelSettings): What to make.
        palette (Sequence): Colours of the label maps.
    """

    def __init__(self, settings: LabelSettings, palette: Sequence) -> None:
        self.settings = settings
        self.palette = palette
        stride = dict(stride=settings.crf_stride)
        self._crf = DenseCRF(**{**stride, **settings.crf}) if settings.crf else None
        self._alpha_crf = DenseCRF(**CRF_PRESETS[ALPHA_CRF], **stride) if settings.crf_alphas else None

    def __call__(self, job: LabelJob) -> np.ndarray:
        """Make and write the files of a job.

        Returns:
            np.ndarray: (256,) int64, pixels of each value in the label map.

        Raises:
            PseudoLabelError: The image cannot be read or a file not be written.
        """
        image = read_image(job.img_path) if self.settings.runs_crf and len(job.channels) else None
        labels = self._labels(job, image)
        maps = self._maps(job, image)
        try:
            checksums = [self._write_maps(planes, channels, labels.shape, job.map_paths[name])
                         for name, (planes, channels) in maps.items()]
            # Last: it marks the image as finished.
            write_label_map(labels, job.label_path, self.palette, label_note(job.origin, checksums))
        except OSError as error:
            raise PseudoLabelError(
                f'the label of {job.img_path} could not be written to {job.label_path}: {error}. '
                'Nothing half-written is left; the same command goes on from here') from error
        return np.bincount(labels.ravel(), minlength=256)

    def _labels(self, job: LabelJob, image: Optional[np.ndarray]) -> np.ndarray:
        """The pseudo label (H, W) uint8."""
        if job.labels is not None:
            return job.labels.astype(np.uint8)
        if not len(job.channels):
            return np.zeros(job.cams.shape[1:], np.uint8)
        scores = [np.concatenate([background, job.cams]) for background in self._backgrounds(job)]
        channels = job.channels
        if self.settings.crf_classes:
            labels = [found.argmax(0) for found in scores]
            if self.settings.crf_classes == 'all':
                labels, channels = [_mask_values(channels)[found] for found in labels], range(job.num_classes)
            scores = [label_probabilities(found, len(channels) + 1) for found in labels]
        if self._crf:
            scores = self._crf.refine_all(image, scores)
        found = [labels_from_scores(planes, channels) for planes in scores]
        return found[0] if len(found) == 1 else labels_between(*found)

    def _backgrounds(self, job: LabelJob) -> list[np.ndarray]:
        """Planes (1, H, W): the job's, or one for each threshold."""
        if job.background is not None:
            return [job.background]
        thresholds = [self.settings.threshold, self.settings.high][:1 if self.settings.high is None else 2]
        return [np.full_like(job.cams[:1], threshold) for threshold in thresholds]

    def _maps(self, job: LabelJob, image: Optional[np.ndarray]) -> dict[str, tuple[np.ndarray, Sequence[int]]]:
        """The planes of every map file and their channels."""
        alphas = {name: alpha for name, alpha in self.settings.map_folders.items() if alpha is not None}
        scores = [alpha_scores(job.cams, alpha) for alpha in alphas.values()]
        if scores and len(job.channels):
            scores = self._alpha_crf.refine_all(image, scores)
        maps = {name: (planes, [BACKGROUND, *job.channels]) for name, planes in zip(alphas, scores)}
        return {'cams': (job.cams, job.channels), **maps} if self.settings.save_cams else maps

    def _write_maps(self, planes: np.ndarray, channels: Sequence[int], size: Sequence[int], path: Path) -> int:
        """Write one map file; give the checksum of its bytes."""
        write_cams(_reduced(planes, self.settings.cam_stride), channels, size, path)
        return zlib.crc32(path.read_bytes())


def _mask_values(channels: Sequence[int]) -> np.ndarray:
    """Mask value of each plane: background, then the channels'."""
    return np.array([0, *(int(channel) + 1 for channel in channels)], np.uint8)


def _reduced(cams: np.ndarray, stride: int) -> np.ndarray:
    """Maps (P, H, W) averaged down to a fraction of their size, rounded up."""
    if stride == 1 or not len(cams):
        return cams
    size = [-(-side // stride) for side in cams.shape[1:]]
    return torch.nn.functional.interpolate(torch.from_numpy(cams)[None], size, mode='area')[0].numpy()
