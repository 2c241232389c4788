"""The weights from which a backbone starts."""

from collections.abc import Sequence
from typing import Optional

from mmseg.utils import ConfigType
from torch.nn import functional as F

__all__ = ['resize_patch_kernel', 'with_pretrained']


def with_pretrained(backbone: ConfigType, pretrained: Optional[str]) -> ConfigType:
    """Return the config of a backbone that starts from a checkpoint.

    It is the short form of ``backbone.init_cfg`` that models of mmseg take as ``pretrained``.

    Args:
        backbone: Config of the backbone; not changed.
        pretrained: Path or address of the checkpoint. None keeps the ``init_cfg`` of the backbone.

    Returns:
        The config, with ``init_cfg`` set if there is a checkpoint.
    """
    if pretrained is None:
        return backbone
    return {**backbone, 'init_cfg': dict(type='Pretrained', checkpoint=pretrained)}


def resize_patch_kernel(state_dict: dict, name: str, size: Sequence[int]) -> None:
    """Resize the kernel of a patch convolution bicubically, if its size differs.

    Args:
        state_dict: Weights by name, changed in place.
        name: Name of the kernel (D, 3, P, P).
        size: Rows and columns of the new kernel.
    """
    kernel = state_dict.get(name)
    if kernel is not None and tuple(kernel.shape[-2:]) != tuple(size):
        resized = F.interpolate(kernel.float(), size=tuple(size), mode='bicubic', align_corners=False)
        state_dict[name] = resized.to(kernel.dtype)
