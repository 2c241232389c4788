"""Small backbones that can be observed, what they show of their layers, and their attention computed explicitly."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from mmwsss.models import AttentionConformer, AttentionViT, Observation, Request, extract_features

__all__ = ['HEADS', 'KINDS', 'LAYERS', 'READERS', 'WIDTH', 'NotedBlocks', 'NotedHeads', 'NotedMeans', 'NotedQueryKeys',
           'NotedScores', 'build', 'explicit_attention', 'flat', 'layers_of', 'run']

LAYERS, HEADS, WIDTH = 4, 2, 16
KINDS = ('vit', 'conformer')


@dataclass(frozen=True)
class Noted(Observation):
    """What is shown of each layer, in order, and nothing more."""

    note: str = ''

    def init(self, layout):
        return []

    def update(self, state, layer, value):
        return [*state, (layer, value)]


class NotedHeads(Noted):
    reads: ClassVar[str] = 'heads'


class NotedMeans(Noted):
    reads: ClassVar[str] = 'mean'


class NotedScores(Noted):
    reads: ClassVar[str] = 'scores'


class NotedQueryKeys(Noted):
    reads: ClassVar[str] = 'query_key'


class NotedBlocks(Noted):
    reads: ClassVar[str] = 'block'


READERS = (NotedHeads, NotedMeans, NotedScores, NotedQueryKeys, NotedBlocks)


def build(kind='vit', **kwargs):
    torch.manual_seed(0)
    if kind == 'vit':
        arch = dict(embed_dims=WIDTH, num_layers=LAYERS, num_heads=HEADS, feedforward_channels=24)
        model = AttentionViT(arch=arch, img_size=32, patch_size=8, **{'num_class_tokens': 3, **kwargs})
        for param in model.parameters():
            torch.nn.init.normal_(param, std=.3)
    else:
        model = AttentionConformer(
            arch=dict(embed_dims=WIDTH, depths=6, num_heads=HEADS, channel_ratio=.25), stem_stride=2, **kwargs)
        for name, param in model.named_parameters():
            if 'attn.qkv' in name:
                torch.nn.init.normal_(param, std=.5)
    model.double().eval()  # a backbone of mmpretrain does not return itself
    return model


def layers_of(backbone):
    """Return mmpretrain's encoder layers of a backbone."""
    return [part for part in backbone.modules() if hasattr(part, 'attn') and hasattr(part, 'ffn')]


def run(backbone, images, *observations, **kwargs):
    return extract_features(backbone, images, Request(observations=observations, **kwargs))


def inputs_of_layers(backbone, images):
    """Return the normalized tokens that the attention of each layer takes."""
    seen = []
    handles = [layer.attn.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
               for layer in layers_of(backbone)]
    extract_features(backbone, images)
    for handle in handles:
        handle.remove()
    return seen


def explicit_attention(backbone, images):
    """Return attention (B, H, T, T) of each layer, computed from its projection and nothing else."""
    found = []
    for layer, x in zip(layers_of(backbone), inputs_of_layers(backbone, images)):
        query, key, _ = layer.attn.qkv(x).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        found.append((query @ key.mT / query.shape[-1]**.5).softmax(dim=-1))
    return found


def flat(value):
    """Return all tensors in nested containers, in order."""
    if isinstance(value, torch.Tensor):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [tensor for part in parts for tensor in flat(part)]
