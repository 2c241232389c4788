"""Prefixes of checkpoint paths that mmengine's loader learns from this package."""

import os
from typing import Any, Optional

from mmengine.runner import CheckpointLoader

from .download import cached_download
from .key_mapping import KeyLayout, KeyRule, find_weights, map_keys
from .mxnet_params import is_mxnet_params, read_mxnet_params
from .official_layouts import mxnet_resnet38_rules, resnet38_rules, vit_rules

__all__ = ['load_resnet38', 'load_timm_vit']

_TIMM_VIT = KeyLayout("ViT in timm's naming", vit_rules(target=''))
_RESNET38 = KeyLayout("Wide-ResNet-38 (PSA's names)", (
    *resnet38_rules(''), KeyRule(r'fc8\.weight', None, required=False)))
_MXNET_RESNET38 = KeyLayout('Wide-ResNet-38 (MXNet)', mxnet_resnet38_rules(''))


@CheckpointLoader.register_scheme(prefixes='timm+', force=True)
def load_timm_vit(filename: str, map_location: Optional[str] = None, logger: Any = 'current') -> dict:
    """Load a published DeiT or ViT file and rename its weights for mmpretrain's ``VisionTransformer``.

    Args:
        filename: ``timm+`` and any path or URL that mmengine loads, as in
            ``init_cfg=dict(type='Pretrained', checkpoint='timm+https://…')``.
        map_location: As in ``torch.load``.
        logger: As in mmengine.

    Returns:
        ``state_dict``: the backbone's weights; the ImageNet head is left out.

    Raises:
        ValueError: If the file holds anything else than such a backbone; the message lists the names.
    """
    checkpoint = CheckpointLoader.load_checkpoint(filename[len('timm+'):], map_location, logger)
    return dict(state_dict=map_keys(find_weights(checkpoint, _TIMM_VIT), _TIMM_VIT).state_dict)


@CheckpointLoader.register_scheme(prefixes='resnet38+', force=True)
def load_resnet38(filename: str, map_location: Optional[str] = None, logger: Any = 'current') -> dict:
    """Load a published Wide-ResNet-38 for :class:`~mmwsss.models.WideResNet38`.

    Args:
        filename: ``resnet38+`` and any path or URL: the ``.params`` file of MXNet, or a PyTorch file with PSA's names.
            What comes over http(s) is kept in torch's cache of checkpoints.
        map_location: As in ``torch.load``.
        logger: As in mmengine.

    Returns:
        ``state_dict``: the backbone's weights; a classifier is left out.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file holds anything else than such a backbone; the message lists the names.
    """
    path = filename[len('resnet38+'):]
    if path.startswith(('http://', 'https://')):
        path = cached_download(path)
    if os.path.isfile(path) and is_mxnet_params(path):
        weights, layout = read_mxnet_params(path), _MXNET_RESNET38
    else:
        checkpoint = CheckpointLoader.load_checkpoint(path, map_location, logger)
        weights, layout = find_weights(checkpoint, _RESNET38), _RESNET38
    return dict(state_dict=map_keys(weights, layout).state_dict)
