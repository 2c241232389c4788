"""Backbones: features, and attention only where a head asks for it."""

from .attention_vit import AttentionViT, ViTTokens

__all__ = ['AttentionViT', 'ViTTokens']
