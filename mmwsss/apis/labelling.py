"""From the class maps of an image to its pseudo label on disk."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Optional, Union

import mmcv
import numpy as np
import torch

from mmwsss.datasets.map_files import write_cams, write_label_map
from mmwsss.models.refiners.dense_crf import CRF_PRESETS
from mmwsss.models.utils import IGNORE_INDEX

__all__ = ['LabelJob', 'LabelSettings', 'finish_job', 'labels_between', 'labels_from_scores']

POSTS = ('none', 'par', 'crf')
DEFAULT_CRF = 'mctformer_cam'


@dataclass(frozen=True)
class LabelSettings:
    """How class maps become pseudo labels.

    Args:
        threshold (float): Background score: a pixel is foreground where a present class exceeds it.
        high (float, optional): A second, larger background score. Foreground must exceed it; background is
            what does not exceed ``threshold``; pixels between are 255.
        post (str): ``'none'``; ``'par'``: pixel-adaptive refinement; ``'crf'``: dense CRF. Each refines the
            maps of present classes beside a constant background plane at the threshold.
        crf (str or dict, optional): Name in :data:`~mmwsss.models.refiners.dense_crf.CRF_PRESETS` or arguments
            of :class:`~mmwsss.models.DenseCRF`. Defaults to ``'mctformer_cam'`` where a CRF is asked for.
        save_cams (bool): Write the class maps too.
        cam_stride (int): Store them at this fraction of the image's size.

    Raises:
        ValueError: A threshold is outside [0, 1], ``high`` is below ``threshold``, ``post`` or the name of the CRF
            is unknown, or ``cam_stride`` is not positive.
    """

    threshold: float
    high: Optional[float] = None
    post: str = 'none'
    crf: Union[str, dict, None] = None
    save_cams: bool = False
    cam_stride: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= (1 if self.high is None else self.high) <= 1:
            raise ValueError('thresholds must be in [0, 1] and high not below threshold, got '
                             f'threshold={self.threshold} and high={self.high}')
        if self.post not in POSTS:
            raise ValueError(f'post must be one of {POSTS}, got {self.post!r}')
        if self.cam_stride < 1:
            raise ValueError(f'cam_stride must be 1 or more, got {self.cam_stride}')
        crf = self.crf or DEFAULT_CRF
        if isinstance(crf, str) and crf not in CRF_PRESETS:
            raise ValueError(f'crf must be one of {sorted(CRF_PRESETS)} or a dict of arguments, got {crf!r}')
        crf = CRF_PRESETS[crf] if isinstance(crf, str) else crf
        object.__setattr__(self, 'crf', dict(crf) if self.post == 'crf' else None)

    def as_dict(self) -> dict:
        """Plain values, for the manifest."""
        return asdict(self)


@dataclass(frozen=True)
class LabelJob:
    """One image on its way from the network to the disk.

    Args:
        img_path (str): The image.
        cams (np.ndarray): (P, H, W) float32 in [0, 1] at the size of the image, maps of present classes.
        channels (Sequence[int]): Their foreground channels, increasing.
        labels (np.ndarray, optional): (H, W), where the label is known already.
        label_path (Path): Where the label map goes.
        cams_path (Path, optional): Where the class maps go.
    """

    img_path: str
    cams: np.ndarray
    channels: Sequence[int]
    labels: Optional[np.ndarray]
    label_path: Path
    cams_path: Optional[Path] = None


def labels_from_scores(scores: np.ndarray, channels: Sequence[int]) -> np.ndarray:
    """Label each pixel with its best plane; the first of equal ones, so background wins ties.

    Args:
        scores (np.ndarray): (1 + P, H, W), background first.
        channels (Sequence[int]): Foreground channels of the other planes.

    Returns:
        np.ndarray: (H, W) uint8: 0, or channel + 1.
    """
    values = np.array([0, *(int(channel) + 1 for channel in channels)], np.uint8)
    return values[scores.argmax(0)]


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


def make_labels(job: LabelJob, settings: LabelSettings, crf: Optional[Callable]) -> np.ndarray:
    """The pseudo label (H, W) uint8 of a job."""
    if job.labels is not None:
        return job.labels.astype(np.uint8)
    if not len(job.channels):
        return np.zeros(job.cams.shape[1:], np.uint8)
    image = mmcv.imread(job.img_path, channel_order='rgb') if crf else None
    thresholds = [settings.threshold] if settings.high is None else [settings.threshold, settings.high]
    found = []
    for threshold in thresholds:
        scores = np.concatenate([np.full_like(job.cams[:1], threshold), job.cams])
        scores = np.asarray(crf(image, scores)) if crf else scores
        found.append(labels_from_scores(scores, job.channels))
    return found[0] if settings.high is None else labels_between(*found)


def finish_job(job: LabelJob, settings: LabelSettings, palette: Sequence, crf: Optional[Callable]) -> np.ndarray:
    """Make and write the files of a job.

    Returns:
        np.ndarray: (256,) int64, pixels of each value in the label map.

    Raises:
        RuntimeError: Something failed; the message names the image.
    """
    try:
        labels = make_labels(job, settings, crf)
        if job.cams_path is not None:
            write_cams(_reduced(job.cams, settings.cam_stride), job.channels, labels.shape, job.cams_path)
        write_label_map(labels, job.label_path, palette)  # last: it marks the image as finished
    except OSError as error:
        raise RuntimeError(f'the label of {job.img_path} could not be written to {job.label_path}: {error}. '
                           'Nothing half-written is left; the same command goes on from here') from error
    except Exception as error:
        raise RuntimeError(f'no label could be made for {job.img_path}: {type(error).__name__}: '
                           f'{error}') from error
    return np.bincount(labels.ravel(), minlength=256)


def _reduced(cams: np.ndarray, stride: int) -> np.ndarray:
    """Maps (P, H, W) averaged down to a fraction of their size, rounded up."""
    if stride == 1 or not len(cams):
        return cams
    size = [-(-side // stride) for side in cams.shape[1:]]
    return torch.nn.functional.interpolate(torch.from_numpy(cams)[None], size, mode='area')[0].numpy()
