"""mmwsss: weakly supervised semantic segmentation for MMSegmentation."""

from .compat import (
    check_stack,
    declare_torchvision_schemas,
    ignore_harmless_messages,
    name_config_packages,
    stand_in_for_mmcv_operators,
)
from .version import __version__

check_stack()
declare_torchvision_schemas()
stand_in_for_mmcv_operators()
name_config_packages()
ignore_harmless_messages()

from .checkpoints import install_safe_loader  # noqa: E402  # mmengine is imported once the stack has been checked

install_safe_loader()

__all__ = ['__version__', 'check_stack']
