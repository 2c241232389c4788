"""mmwsss: weakly supervised semantic segmentation for MMSegmentation."""

from .compat import declare_torchvision_schemas
from .version import __version__

declare_torchvision_schemas()

__all__ = ['__version__']
