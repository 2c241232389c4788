"""Backbones: features, and attention only where a head asks for it."""

from .attention_conformer import AttentionConformer, ConformerTokens
from .attention_vit import AttentionViT, ViTTokens
from .observed import ObservedViT
from .wide_resnet38 import WideResNet38

__all__ = ['AttentionConformer', 'AttentionViT', 'ConformerTokens', 'ObservedViT', 'ViTTokens',
           'WideResNet38']
