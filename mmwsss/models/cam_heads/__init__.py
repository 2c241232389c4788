"""CAM heads: from tokens to image-level logits and class maps, one file a method."""

from .aream_head import AReAMHead
from .mctformer_head import MCTformerHead
from .toco_head import ProjectionHead, ToCoHead
from .transcam_head import TransCAMHead
from .weaktr_head import WeakTrHead

__all__ = ['AReAMHead', 'MCTformerHead', 'ProjectionHead', 'ToCoHead', 'TransCAMHead', 'WeakTrHead']
