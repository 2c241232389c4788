"""Prefixes of checkpoint paths that mmengine's loader learns from this package."""

from typing import Any, Optional

from mmengine.runner import CheckpointLoader

from .key_mapping import KeyLayout, find_weights, map_keys
from .official_layouts import vit_rules

__all__ = ['load_timm_vit']

_TIMM_VIT = KeyLayout("ViT in timm's naming", vit_rules(target=''))


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
