"""Describe photographs by the features of a backbone that is not trained further."""

import os
from collections.abc import Iterator, Sequence
from typing import Union

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from mmwsss.models import Request, extract_features
from mmwsss.registry import MODELS
from mmwsss.utils import read_photo
from mmwsss.utils.silence import silent

__all__ = ['patch_features', 'photo_features']

DEFAULT_SIDE, STEP = 224, 112


@torch.no_grad()
def photo_features(cfg: Config, paths: Sequence[Union[str, os.PathLike]], device: str = 'cpu',
                   batch_size: int = 16) -> Iterator[np.ndarray]:
    """Yield the features of photographs, as the backbone of a config computes them at the start of training.

    Photographs are resized to the crop size of the config. Their features are the last map of the backbone, averaged
    over all positions.

    Args:
        cfg (Config): A config whose model has a backbone. The weights are those that its ``init_cfg`` names.
        paths (Sequence): The photographs.
        device (str): Defaults to ``'cpu'``.
        batch_size (int): Photographs that pass the backbone together. Defaults to 16.

    Yields:
        np.ndarray: (b, D) float32 for each batch.

    Raises:
        ValueError: A photograph cannot be read.
    """
    init_default_scope(cfg.get('default_scope', 'mmwsss'))
    with silent():
        backbone = MODELS.build(cfg.model.backbone)
        backbone.init_weights()
    backbone.to(device)
    backbone.eval()  # returns nothing in backbones of mmpretrain
    preprocess = MODELS.build(cfg.model.data_preprocessor).to(device)
    size = cfg.model.data_preprocessor.get('size') or (DEFAULT_SIDE, DEFAULT_SIDE)
    for start in range(0, len(paths), batch_size):
        photos = [_planes(read_photo(path), tuple(size)) for path in paths[start:start + batch_size]]
        images = preprocess({'inputs': photos, 'data_samples': None}, False)['inputs']
        yield extract_features(backbone, images, Request()).maps[-1].float().mean(dim=(2, 3)).cpu().numpy()


@torch.no_grad()
def patch_features(model: nn.Module, photo: np.ndarray, side: int = DEFAULT_SIDE) -> np.ndarray:
    """Return the last feature map of a model's backbone for a photograph.

    Args:
        model (nn.Module): A model with ``backbone`` and ``data_preprocessor``.
        photo (np.ndarray): (H, W, 3) uint8 RGB.
        side (int): Shorter side to which it is resized, in pixels; sides are rounded to multiples of 112, whole patches
            of 14 and of 16 pixels. Defaults to 224.

    Returns:
        np.ndarray: (D, h, w) float32.
    """
    scale = side / min(photo.shape[:2]) / STEP
    size = tuple(STEP * max(round(length * scale), 1) for length in photo.shape[:2])
    batch = {'inputs': [_planes(photo, size)], 'data_samples': None}
    images = model.data_preprocessor(batch, False)['inputs']
    return extract_features(model.backbone, images, Request()).maps[-1][0].float().cpu().numpy()


def _planes(photo: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    """Resize a photograph to (height, width), and return it as the data pipelines do: (3, H, W) uint8 BGR."""
    small = cv2.resize(photo[..., ::-1], size[::-1], interpolation=cv2.INTER_AREA)
    return torch.from_numpy(np.ascontiguousarray(small)).permute(2, 0, 1)
