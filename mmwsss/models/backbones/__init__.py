"""Backbones: features, and attention only where a head asks for it."""

from .attention_conformer import AttentionConformer, ConformerTokens
from .attention_vit import AttentionViT, ViTTokens
from .ceil_pool_resnet import CeilPoolResNet
from .observed import ObservedViT
from .wide_resnet38 import WideResNet38

__all__ = ['AttentionConformer', 'AttentionViT', 'CeilPoolResNet', 'ConformerTokens', 'ObservedViT', 'ViTTokens',
           'WideResNet38']
