"""The weights from which a backbone starts."""

from typing import Optional

from mmseg.utils import ConfigType

__all__ = ['with_pretrained']


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
