"""Backbones: features, and attention only where it is requested."""

from .attention_conformer import AttentionConformer
from .attention_vit import AttentionViT
from .ceil_pool_resnet import CeilPoolResNet
from .efficientnet_lite import EfficientNetLite
from .eva02_vit import EVA02ViT
from .features import Features, ObservableBackbone, Observation, Request, TokenLayout, extract_features
from .low_precision import PRECISIONS, backbone_precision, check_precision
from .observations import (
    ClassAttentionSum,
    ClassTokens,
    PatchAttention,
    PatchAttentionSum,
    PatchScores,
    QueryKeys,
)
from .wide_resnet38 import WideResNet38

__all__ = ['PRECISIONS', 'AttentionConformer', 'AttentionViT', 'CeilPoolResNet', 'ClassAttentionSum', 'ClassTokens',
           'EVA02ViT', 'EfficientNetLite', 'Features', 'ObservableBackbone', 'Observation', 'PatchAttention',
           'PatchAttentionSum', 'PatchScores', 'QueryKeys', 'Request', 'TokenLayout', 'WideResNet38',
           'backbone_precision', 'check_precision', 'extract_features']
