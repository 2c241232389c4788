"""Build a model from a config and a checkpoint, and compute class activation maps of one image."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Optional, Union

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from mmseg.models import BaseSegmentor
from torch import Tensor, nn

from mmwsss.checkpoints import load_weights
from mmwsss.models import backbone_precision
from mmwsss.models.utils import resize_maps, without_padding
from mmwsss.registry import MODELS
from mmwsss.utils import closest
from mmwsss.utils.errors import UserError
from mmwsss.utils.silence import silent

from .configs import config_meta, inference_pipeline, read_config, strip_pretrained

__all__ = ['cams_at_image_size', 'choose_source', 'inference_cams', 'init_model', 'select_classes']

ImageLabels = Union[np.ndarray, Tensor, Sequence[int], Sequence[str], str]


def init_model(config: Union[str, os.PathLike, Config],
               checkpoint: Optional[Union[str, os.PathLike]] = None,
               device: Union[str, torch.device] = 'cpu',
               cfg_options: Optional[dict] = None) -> nn.Module:
    """Build a model for inference.

    Nothing is downloaded: pretrained weights that a config names for the start of training are loaded
    only without a checkpoint, and only from a local file or the package (``mmwsss://``).

    Args:
        config (str, PathLike or Config): Config file, one of the package's as ``configs/...``, or
            a config; the latter is not changed.
        checkpoint (str or PathLike, optional): Weights; by default those of initialization.
        device (str or torch.device): Where the model goes. Defaults to ``'cpu'``.
        cfg_options (dict, optional): Overrides, such as ``{'model.test_cfg.threshold': 0.4}``.

    Returns:
        nn.Module: The model in eval mode, with the config as ``cfg`` and the classes and palette as
        ``dataset_meta``, the checkpoint's or else the config's.

    Raises:
        FileNotFoundError: The config or the checkpoint does not exist.
        TypeError: ``config`` is neither a path nor a config.
        ValueError: The checkpoint cannot be read safely, or is of another method, model size or
            number of classes.
    """
    cfg, name = read_config(config)
    if cfg_options:
        cfg.merge_from_dict(cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmwsss'))
    strip_pretrained(cfg.model, keep_local=checkpoint is None)
    model = MODELS.build(cfg.model)
    model.dataset_meta = config_meta(cfg)
    if checkpoint is None:
        with silent():  # of mmengine's line for each parameter
            model.init_weights()
    else:
        saved = load_weights(model, checkpoint, name).get('dataset_meta')
        model.dataset_meta = dict(saved) if saved else model.dataset_meta
    model.cfg = cfg
    return model.to(device).eval()


def choose_source(model: nn.Module, source: Optional[str] = None) -> str:
    """Return what is predicted with a model: its segmentation or its class activation maps (CAMs).

    Args:
        model (nn.Module): From :func:`init_model`.
        source (str, optional): What is asked for.

    Returns:
        str: ``source``; without it, ``'seg'`` if the model is a segmentor, else ``'cam'``.

    Raises:
        UserError: The model does not predict what is asked for, or ``source`` is neither ``'seg'`` nor ``'cam'``.
    """
    name = type(model).__name__
    able = dict(seg=isinstance(model, BaseSegmentor), cam=hasattr(model, 'predict_cams'))
    if hasattr(model, 'walk_cams') or not any(able.values()):
        raise UserError(f'{name} predicts neither a segmentation nor CAMs')
    source = source or ('seg' if able['seg'] else 'cam')
    if source not in able:
        raise UserError(f'source must be one of {", ".join(able)}, got {source!r}{closest(source, able)}')
    if not able[source]:
        raise UserError(f'{name} gives no {"segmentation" if source == "seg" else "CAMs"}: use source '
                        f'{"cam" if source == "seg" else "seg"!r}')
    return source


def inference_cams(model: nn.Module,
                   image: Union[str, os.PathLike, np.ndarray],
                   image_labels: Optional[ImageLabels] = None,
                   scales: Optional[Sequence[float]] = None,
                   flip: Optional[bool] = None,
                   score_threshold: float = 0.5,
                   amp: Optional[str] = None) -> np.ndarray:
    """Compute the class activation maps (CAMs) of one image with the test pipeline of the model's config.

    Args:
        model (nn.Module): From :func:`init_model`.
        image (str, PathLike or np.ndarray): An image file, or (H, W, 3) uint8 in BGR order.
        image_labels (np.ndarray, Tensor or Sequence, optional): The classes in the image, as a
            multi-hot vector (C,) or by name; the maps of absent classes become 0. Defaults to the classes that the
            classifier finds: each map is normalized by itself, so that the map of a class that the image does not
            show looks as bright as any other. ``'all'`` keeps all maps.
        scales (Sequence[float], optional): Scales of the views. Defaults to those in ``test_cfg.cams``.
        flip (bool, optional): Whether to add mirrored views. Defaults to the setting in ``test_cfg.cams``.
        score_threshold (float): Without ``image_labels``, classes with a larger score are kept; see
            :func:`select_classes`. Defaults to 0.5.
        amp (str, optional): ``'bf16'`` or ``'fp16'``: run the backbone in this precision; see
            :func:`mmwsss.models.backbone_precision`.

    Returns:
        np.ndarray: (C, H, W) float32 in [0, 1] at the image's own size; channel c is the class with
        mask value c + 1.

    Raises:
        FileNotFoundError: There is no such image file.
        TypeError: The model gives no CAMs, or the image is no uint8 array.
        UserError: The CAMs are NaN or infinite, or the device does not compute in the precision.
        ValueError: The image cannot be decoded, or the labels do not fit the model's classes.
    """
    if not hasattr(model, 'predict_cams'):
        raise TypeError(f'{type(model).__name__} gives no CAMs: it has no predict_cams')
    keep_all = isinstance(image_labels, str) and image_labels == 'all'
    labels = None if image_labels is None or keep_all else _multi_hot(model, image_labels)
    data = model.data_preprocessor(_load(model, image), False)
    inputs = data['inputs']
    labels = None if labels is None else labels[None].to(inputs)
    with backbone_precision(model, amp):
        found = model.predict_cams(inputs, image_labels=labels, scales=scales, flip=flip)
    cams = found['cams']
    if not torch.isfinite(cams).all():
        name = 'the image' if isinstance(image, np.ndarray) else f'image {image}'
        raise UserError(f'the CAMs of {name} are NaN or infinite: has the training diverged, or are the weights '
                        'damaged?')
    if labels is None and not keep_all:
        absent = torch.ones(cams.shape[1], dtype=torch.bool)
        absent[select_classes(found['logits'][0].float().sigmoid().cpu(), score_threshold)] = False
        cams[:, absent.to(cams.device)] = 0
    return cams_at_image_size(cams[:1], data['data_samples'][0].metainfo)[0].float().cpu().numpy()


def select_classes(scores: Tensor, threshold: float = 0.5, top_k: Optional[int] = None) -> Tensor:
    """Select the classes that a classifier finds in an image.

    Args:
        scores (Tensor): (C,) probabilities.
        threshold (float): Classes with a larger score are selected.
        top_k (int, optional): At most this many, those with the largest scores.

    Returns:
        Tensor: Indices of the classes, increasing; perhaps none.
    """
    chosen = (scores > threshold).nonzero().flatten()
    if top_k is not None and len(chosen) > top_k:
        chosen = scores.topk(top_k).indices.sort().values
    return chosen


def cams_at_image_size(cams: Tensor, metainfo: dict) -> Tensor:
    """Resize class activation maps from the size of the network's input to the size of the original image.

    Args:
        cams (Tensor): (B, C, H, W), of one image or of several of one size.
        metainfo (dict): With ``ori_shape`` (H0, W0) and, where the preprocessor padded,
            ``img_padding_size`` (left, right, top, bottom), which is cut off.

    Returns:
        Tensor: (B, C, H0, W0).
    """
    return resize_maps(without_padding(cams, metainfo), metainfo['ori_shape'][:2])


def _load(model: nn.Module, image: Union[str, os.PathLike, np.ndarray]) -> dict:
    """Run the test pipeline on one image and collate it."""
    pipeline = inference_pipeline(model.cfg)
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise TypeError(f'image must be (H, W, 3) uint8 in BGR order, got {image.shape} {image.dtype}')
        pipeline[0] = ConfigDict(type='LoadImageFromNDArray', to_float32=pipeline[0].get('to_float32', False))
        results = {'img': image, 'img_path': None}
    else:
        if not Path(image).is_file():
            raise FileNotFoundError(f'image {image} does not exist')
        results = {'img_path': str(image)}
    try:
        loaded = Compose(pipeline[:1])(results)
    except Exception as error:  # decoders raise about anything
        raise ValueError(f'image {image} cannot be decoded: {error}') from error
    packed = Compose(pipeline[1:])(loaded)
    return {'inputs': [packed['inputs']], 'data_samples': [packed['data_samples']]}


def _multi_hot(model: nn.Module, image_labels: ImageLabels) -> Tensor:
    """Return image labels as a float vector (C,)."""
    classes = list((model.dataset_meta or {}).get('classes') or ())[1:]
    image_labels = [image_labels] if isinstance(image_labels, str) else image_labels
    if len(image_labels) and isinstance(image_labels[0], str):
        unknown = [name for name in image_labels if name not in classes]
        if unknown:
            raise ValueError(f'image_labels names {unknown[0]!r}{closest(str(unknown[0]), classes)}; the '
                             f'classes are {", ".join(classes)}')
        return torch.tensor([float(name in image_labels) for name in classes])
    labels = torch.as_tensor(image_labels, dtype=torch.float32)
    if labels.ndim != 1 or (classes and len(labels) != len(classes)):
        raise ValueError(f'image_labels must be a vector of the {len(classes)} foreground classes or '
                         f'their names, got shape {tuple(labels.shape)}')
    return labels
