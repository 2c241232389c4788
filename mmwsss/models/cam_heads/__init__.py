"""CAM heads: from features to image-level scores and class maps, one file a method."""

from .aream_head import AReAMHead
from .base import BaseCAMHead
from .cam_head import CAMHead
from .mctformer_head import MCTformerHead
from .toco_head import ProjectionHead, ToCoHead
from .transcam_head import TransCAMHead
from .weaktr_head import WeakTrHead

__all__ = ['AReAMHead', 'BaseCAMHead', 'CAMHead', 'MCTformerHead', 'ProjectionHead', 'ToCoHead', 'TransCAMHead',
           'WeakTrHead']
