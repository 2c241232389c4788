"""mmwsss: weakly supervised semantic segmentation for MMSegmentation."""

from .compat import allow_checkpoint_globals, check_stack, declare_torchvision_schemas
from .version import __version__

check_stack()
declare_torchvision_schemas()
allow_checkpoint_globals()

__all__ = ['__version__', 'check_stack']
