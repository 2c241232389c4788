"""Auxiliaries: parts that any model with a CAM head takes along in training."""

from .affinity_reactivation import AffinityReactivation, AffinityTargets
from .base import Auxiliaries, BaseAuxiliary, TrainingBatch
from .contrastive_class_tokens import ContrastiveClassTokens

__all__ = ['AffinityReactivation', 'AffinityTargets', 'Auxiliaries', 'BaseAuxiliary', 'ContrastiveClassTokens',
           'TrainingBatch']
