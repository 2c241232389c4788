"""Describe photographs by the features of a backbone that is not trained further."""

import os
from collections.abc import Iterator, Sequence
from typing import Union

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmwsss.models import Request, extract_features
from mmwsss.registry import MODELS
from mmwsss.utils import read_photo
from mmwsss.utils.silence import silent

__all__ = ['photo_features']

DEFAULT_SIDE = 224


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


def _planes(photo: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    """Resize a photograph to (height, width), and return it as the data pipelines do: (3, H, W) uint8 BGR."""
    small = cv2.resize(photo[..., ::-1], size[::-1], interpolation=cv2.INTER_AREA)
    return torch.from_numpy(np.ascontiguousarray(small)).permute(2, 0, 1)
