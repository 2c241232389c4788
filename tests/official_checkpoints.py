"""Random checkpoints laid out as the authors' published ones, from the tables of names and shapes."""

import math
import re

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
    shapes.update(toco_head_shapes(num_classes, width, channels))
    return {f'module.{name}': shape for name, shape in shapes.items()}


def toco_head_shapes(num_classes: int, width: int, channels: int) -> dict[str, tuple]:
    """Name the weights of ToCo's decoder and classifiers as its authors do."""
    return {
        'decoder.conv6.weight': (channels, width, 3, 3),
        'decoder.conv7.weight': (channels, channels, 3, 3),
        'decoder.conv8.weight': (num_classes + 1, channels, 1, 1),
        'classifier.weight': (num_classes, width, 1, 1),
        'aux_classifier.weight': (num_classes, width, 1, 1)}


def dupl_shapes(num_classes: int = 20, width: int = 768, channels: int = 512, **vit: int) -> dict[str, tuple]:
    """Name the weights of DuPL's two students as its authors do, each with the prefix of a wrapped model."""
    student = {**{f'encoder.{name}': shape for name, shape in vit_shapes(width, **vit).items()},
               **toco_head_shapes(num_classes, width, channels)}
    return {f'module.{branch}.{name}': shape for branch in ('branch1', 'branch2') for name, shape in student.items()}


def class_token_shapes(num_classes: int = 20, width: int = 384, mlp: int = 1536, head_taps: tuple[int, ...] = (3, 3),
                       grid: int = 14, **vit: int) -> dict[str, tuple]:
    """Name the weights of MCTformer and its like: one token per class, V2's 3x3 head or, without taps, V1's."""
    return {**vit_shapes(width, mlp=mlp, grid=grid, **vit), 'cls_token': (1, num_classes, width),
            'pos_embed': (1, num_classes + grid * grid, width), **_linear('head', num_classes, width, head_taps)}


def mctformer_plus_shapes(num_classes: int = 20, width: int = 384, grid: int = 28, **vit: int) -> dict[str, tuple]:
    """Name the weights of MCTformer+ as its authors do, with the position embedding of 14 x 14 that is never used."""
    return {**class_token_shapes(num_classes, width, **vit), 'pos_embed': (1, 1 + 14 * 14, width),
            'pos_embed_cls': (1, num_classes, width), 'pos_embed_pat': (1, grid * grid, width)}


def conformer_shapes(classes: int = 21, width: int = 384, channels: tuple[int, ...] = (256, 512, 1024), depth: int = 12,
                     conv_head: tuple[int, ...] = (3, 3)) -> dict[str, tuple]:
    """Name the weights of a Conformer as its authors, and TransCAM's, do; TransCAM has 3x3 taps."""
    shapes = {'cls_token': (1, 1, width), **_affine('trans_norm', width), **_linear('trans_cls_head', classes, width),
              'conv_cls_head.weight': (classes, channels[-1], *conv_head), 'conv_cls_head.bias': (classes, ),
              'conv1.weight': (64, 3, 7, 7), **_batch_norm('bn1', 64), **_unit('conv_1', 64, channels[0], True),
              'trans_patch_conv.weight': (width, 64, 4, 4), 'trans_patch_conv.bias': (width, ),
              **_transformer('trans_1', width)}
    per_stage = depth // 3
    before = channels[0]
    for i in range(2, depth + 1):
        block, now = f'conv_trans_{i}', channels[(i - 1) // per_stage]
        inner = now // 4
        shapes.update({
            **_unit(f'{block}.cnn_block', before, now, now != before),
            **_unit(f'{block}.fusion_block', now, now, i == depth),
            **_linear(f'{block}.squeeze_block.conv_project', width, inner, (1, 1)),
            **_affine(f'{block}.squeeze_block.ln', width),
            **_linear(f'{block}.expand_block.conv_project', inner, width, (1, 1)),
            **_batch_norm(f'{block}.expand_block.bn', inner),
            **_transformer(f'{block}.trans_block', width)})
        before = now
    return shapes


def _affine(name: str, width: int) -> dict[str, tuple]:
    return {f'{name}.weight': (width, ), f'{name}.bias': (width, )}


def _linear(name: str, rows: int, cols: int, taps: tuple[int, ...] = ()) -> dict[str, tuple]:
    return {f'{name}.weight': (rows, cols, *taps), f'{name}.bias': (rows, )}


def _batch_norm(name: str, width: int) -> dict[str, tuple]:
    return {**_affine(name, width), f'{name}.running_mean': (width, ), f'{name}.running_var': (width, ),
            f'{name}.num_batches_tracked': ()}


def _unit(name: str, before: int, after: int, shortcut: bool) -> dict[str, tuple]:
    inner = after // 4
    shapes = {}
    for i, rows, cols, taps in ((1, inner, before, 1), (2, inner, inner, 3), (3, after, inner, 1)):
        shapes.update({f'{name}.conv{i}.weight': (rows, cols, taps, taps), **_batch_norm(f'{name}.bn{i}', rows)})
    if shortcut:
        shapes.update({f'{name}.residual_conv.weight': (after, before, 1, 1),
                       **_batch_norm(f'{name}.residual_bn', after)})
    return shapes


def _transformer(name: str, width: int) -> dict[str, tuple]:
    return {**_affine(f'{name}.norm1', width), **_affine(f'{name}.norm2', width),
            **_linear(f'{name}.attn.qkv', 3 * width, width), **_linear(f'{name}.attn.proj', width, width),
            **_linear(f'{name}.mlp.fc1', 4 * width, width), **_linear(f'{name}.mlp.fc2', width, 4 * width)}


def resnet38_shapes(width: int = 64, counters: bool = True) -> dict[str, tuple]:
    """Name the weights of PSA's Wide-ResNet-38; its old files have no counters of batch norm."""
    shapes = {'conv1a.weight': (width, 3, 3, 3)}
    for stage, units, before, middle, after in ((2, 3, 1, 2, 2), (3, 3, 2, 4, 4), (4, 6, 4, 8, 8), (5, 3, 8, 8, 16)):
        for index in range(units):
            unit, start = (f'b{stage}_{index}', after) if index else (f'b{stage}', before)
            shapes.update({
                **_batch_norm(f'{unit}.bn_branch2a', start * width),
                f'{unit}.conv_branch2a.weight': (middle * width, start * width, 3, 3),
                **_batch_norm(f'{unit}.bn_branch2b1', middle * width),
                f'{unit}.conv_branch2b1.weight': (after * width, middle * width, 3, 3)})
        shapes[f'b{stage}.conv_branch1.weight'] = (after * width, before * width, 1, 1)
    for unit, before, after in (('b6', 16, 32), ('b7', 32, 64)):
        widths = (before, after // 4, after // 2, after)
        for index, (name, taps) in enumerate((('2a', 1), ('2b1', 3), ('2b2', 1))):
            start, end = widths[index] * width, widths[index + 1] * width
            shapes.update({**_batch_norm(f'{unit}.bn_branch{name}', start),
                           f'{unit}.conv_branch{name}.weight': (end, start, taps, taps)})
        shapes[f'{unit}.conv_branch1.weight'] = (after * width, before * width, 1, 1)
    shapes.update(_batch_norm('bn7', 64 * width))
    return {name: shape for name, shape in shapes.items() if counters or not name.endswith('num_batches_tracked')}


def mxnet_name(name: str) -> str:
    """Name a weight of Wide-ResNet-38 as in its authors' file."""
    module, kind = name.rsplit('.', 1)
    suffix = {'bias': 'beta', 'running_mean': 'moving_mean', 'running_var': 'moving_var'}.get(kind, 'gamma')
    if module == 'conv1a':
        return 'arg:conv1a_weight'
    if '.' not in module:
        layer = module
    else:
        unit, branch = module.split('.')
        unit = unit[1:].replace('_', 'b') if '_' in unit else f'{unit[1:]}a'
        layer = branch.replace('conv_', f'res{unit}_').replace('bn_', f'bn{unit}_')
    suffix = suffix if layer.startswith('bn') else 'weight'
    return f'{"aux" if suffix.startswith("moving") else "arg"}:{layer}_{suffix}'


def random_weights(shapes: dict[str, tuple], seed: int = 0, std: float = 0.02) -> dict[str, Tensor]:
    """Draw weights; norm weights and variances lie around one, counters are one."""
    generator = torch.Generator().manual_seed(seed)
    weights = {name: torch.randn(shape, generator=generator) * std for name, shape in shapes.items()}
    for name, weight in weights.items():
        if re.search(r'((norm|bn)[1237]?|ln|bn_branch\w+)\.weight$|weight_g$|running_var$', name):
            weight += 1
        if name.endswith('num_batches_tracked'):
            weights[name] = torch.tensor(1)
    return weights


def weaktr_fusion_shapes(version: str = 'V1', heads: int = 72, reduction: int = 4, head_dims: int = 64,
                         feat_reduction: int = 8) -> dict[str, tuple]:
    """Name the weights of WeakTr's attention fusion as its authors do; V2 and V3 have the same."""
    prefix, hidden, inner = 'adaptive_attention_fusion.', heads // reduction, head_dims // feat_reduction
    if version == 'V1':
        return {f'{prefix}fc.0.weight': (hidden, heads), f'{prefix}fc.2.weight': (heads, hidden)}
    return {f'{prefix}attn_head_ffn.0.weight': (hidden, heads), f'{prefix}attn_head_ffn.2.weight': (heads, hidden),
            **_linear(f'{prefix}attn_feat_ffn.0', inner, head_dims), **_linear(f'{prefix}attn_feat_ffn.1', 1, inner)}


def layer_scale_shapes(width: int = 384, depth: int = 12) -> dict[str, tuple]:
    """Name the scales of DINOv2's blocks."""
    return {f'blocks.{i}.ls{j}.gamma': (width, ) for i in range(depth) for j in (1, 2)}


def eva02_shapes(width: int = 384, depth: int = 12, grid: int = 16, patch: int = 14) -> dict[str, tuple]:
    """Name the weights of EVA-02 of the sizes tiny and small as its authors do, without its head."""
    shapes = {'cls_token': (1, 1, width), 'pos_embed': (1, 1 + grid * grid, width),
              'patch_embed.proj.weight': (width, 3, patch, patch), 'patch_embed.proj.bias': (width, )}
    hidden = int(4 * 2 / 3 * width)
    for i in range(depth):
        block = f'blocks.{i}'
        shapes.update({**_affine(f'{block}.norm1', width), **_affine(f'{block}.norm2', width),
                       f'{block}.attn.q_bias': (width, ), f'{block}.attn.v_bias': (width, ),
                       f'{block}.attn.qkv.weight': (3 * width, width), **_linear(f'{block}.attn.proj', width, width),
                       **_linear(f'{block}.mlp.w12', 2 * hidden, width), **_linear(f'{block}.mlp.w3', width, hidden)})
    return {**shapes, **_affine('norm', width)}


def eva02_segmenter_shapes(num_classes: int = 21, width: int = 384, mlp: int = 1536, grid: int = 30, depth: int = 12,
                           heads: int = 6) -> dict[str, tuple]:
    """Name the weights of WeakTr's Segmenter on EVA-02 as its authors do, with the angles that it saves."""
    shapes = {f'encoder.{name}': shape for name, shape in eva02_shapes(width, depth, grid, 16).items()}
    for owner in ('', *(f'blocks.{i}.attn.' for i in range(depth))):
        shapes.update({f'encoder.{owner}rope.freqs_{kind}': (grid * grid, width // heads) for kind in ('cos', 'sin')})
    shapes.update({'encoder.head.weight': (1000, width), 'encoder.head.bias': (1000, )})
    return {**shapes, **mask_decoder_shapes(num_classes, width, mlp)}


def segmenter_shapes(num_classes: int = 21, width: int = 384, mlp: int = 1536, grid: int = 30,
                     layer_scale: bool = False, **vit: int) -> dict[str, tuple]:
    """Name the weights of WeakTr's Segmenter as its authors do: on DeiT or, with scales of blocks, on DINOv2."""
    encoder = vit_shapes(width, mlp=mlp, grid=grid, **vit)
    if layer_scale:
        encoder.update(layer_scale_shapes(width, vit.get('depth', 12)))
    shapes = {f'encoder.{name}': shape for name, shape in encoder.items()}
    return {**shapes, **mask_decoder_shapes(num_classes, width, mlp)}


def mask_decoder_shapes(num_classes: int, width: int, mlp: int) -> dict[str, tuple]:
    """Name the weights of the mask transformer of WeakTr's Segmenter as its authors do."""
    shapes = {}
    shapes.update({'decoder.cls_emb': (1, num_classes, width), **_linear('decoder.proj_dec', width, width),
                   'decoder.proj_patch': (width, width), 'decoder.proj_classes': (width, width)})
    for i in range(2):
        block = f'decoder.blocks.{i}'
        shapes.update({**_affine(f'{block}.norm1', width), **_affine(f'{block}.norm2', width),
                       **_linear(f'{block}.attn.qkv', 3 * width, width), **_linear(f'{block}.attn.proj', width, width),
                       **_linear(f'{block}.mlp.fc1', mlp, width), **_linear(f'{block}.mlp.fc2', width, mlp)})
    return {**shapes, **_affine('decoder.decoder_norm', width), **_affine('decoder.mask_norm', num_classes)}


def filled_weights(shapes: dict[str, tuple]) -> dict[str, Tensor]:
    """Fill weights by a rule of their names, in double precision, as the worked examples of whole networks do."""
    weights = {}
    for name, shape in shapes.items():
        count = math.prod(shape)
        wave = torch.sin(.5 * torch.arange(count).double() + sum(map(ord, name)) % 97).reshape(shape)
        if len(shape) == 1:
            weights[name] = 1 + .1 * wave if name.endswith('.weight') else .05 * wave
        else:
            weights[name] = .9 * wave / math.sqrt(math.prod(shape[1:])) if len(shape) == 4 else .1 * wave
    return weights


def wave_image(size: tuple[int, int]) -> Tensor:
    """Draw the image (1, 3, H, W) of those examples."""
    steps = torch.arange(3 * size[0] * size[1]).double()
    return (torch.sin(.01 * steps) + .5 * torch.cos(.037 * steps)).reshape(1, 3, *size)
