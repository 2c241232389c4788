"""Heads for image classification, used to pretrain backbones."""

from .token_pool_head import TokenPoolClsHead

__all__ = ['TokenPoolClsHead']
