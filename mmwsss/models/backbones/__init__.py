"""Backbones: features, and attention only where a head asks for it."""

from .attention_conformer import AttentionConformer, ConformerTokens
from .attention_vit import AttentionViT, ViTTokens

__all__ = ['AttentionConformer', 'AttentionViT', 'ConformerTokens', 'ViTTokens']
