"""Random checkpoints laid out as the authors' published ones, from the tables of names and shapes."""

import torch
from torch import Tensor


def vit_shapes(width: int = 768, depth: int = 12, mlp: int = 3072, classes: int = 1000, patch: int = 16,
               grid: int = 14) -> dict[str, tuple]:
    """Name the weights of a ViT as timm and DeiT do."""
    shapes = {
        'cls_token': (1, 1, width),
        'pos_embed': (1, 1 + grid * grid, width),
        'patch_embed.proj.weight': (width, 3, patch, patch),
        'patch_embed.proj.bias': (width, )}
    for i in range(depth):
        block = f'blocks.{i}.'
        for norm in ('norm1', 'norm2'):
            shapes.update({f'{block}{norm}.weight': (width, ), f'{block}{norm}.bias': (width, )})
        for name, rows, cols in (('attn.qkv', 3 * width, width), ('attn.proj', width, width),
                                 ('mlp.fc1', mlp, width), ('mlp.fc2', width, mlp)):
            shapes.update({f'{block}{name}.weight': (rows, cols), f'{block}{name}.bias': (rows, )})
    shapes.update({'norm.weight': (width, ), 'norm.bias': (width, ), 'head.weight': (classes, width),
                   'head.bias': (classes, )})
    return shapes


def toco_shapes(num_classes: int = 20, width: int = 768, hidden: int = 2048, bottleneck: int = 256,
                out: int = 1024, channels: int = 512, **vit: int) -> dict[str, tuple]:
    """Name the weights of ToCo as its authors do, each with the prefix of a wrapped model."""
    shapes = {f'encoder.{name}': shape for name, shape in vit_shapes(width, **vit).items()}
    for head in ('proj_head', 'proj_head_t'):
        for i, rows, cols in ((0, hidden, width), (2, hidden, hidden), (4, bottleneck, hidden)):
            shapes.update({f'{head}.mlp.{i}.weight': (rows, cols), f'{head}.mlp.{i}.bias': (rows, )})
        shapes.update({f'{head}.last_layer.weight_g': (out, 1), f'{head}.last_layer.weight_v': (out, bottleneck)})
    shapes.update({
        'decoder.conv6.weight': (channels, width, 3, 3),
        'decoder.conv7.weight': (channels, channels, 3, 3),
        'decoder.conv8.weight': (num_classes + 1, channels, 1, 1),
        'classifier.weight': (num_classes, width, 1, 1),
        'aux_classifier.weight': (num_classes, width, 1, 1)})
    return {f'module.{name}': shape for name, shape in shapes.items()}


def random_weights(shapes: dict[str, tuple], seed: int = 0, std: float = 0.02) -> dict[str, Tensor]:
    """Draw weights; norm weights lie around one."""
    generator = torch.Generator().manual_seed(seed)
    weights = {name: torch.randn(shape, generator=generator) * std for name, shape in shapes.items()}
    for name, weight in weights.items():
        if name.endswith(('norm.weight', 'norm1.weight', 'norm2.weight', 'weight_g')):
            weight += 1
    return weights
