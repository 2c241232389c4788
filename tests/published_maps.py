"""Small networks laid out as the authors' published ones, whose maps of an image file their own code has computed."""

import math
import zlib

import numpy as np
import torch
from torch import Tensor

from tests.official_checkpoints import (
    class_token_shapes,
    conformer_shapes,
    dupl_shapes,
    eva02_segmenter_shapes,
    mctformer_plus_shapes,
    resnet38_shapes,
    segmenter_shapes,
    toco_shapes,
    weaktr_fusion_shapes,
)

NUM_CLASSES = 3
WIDTH, DEPTH, HEADS, MLP = 48, 4, 3, 96
FUSION = dict(heads=DEPTH * HEADS, head_dims=WIDTH // HEADS)
_VIT = dict(width=WIDTH, depth=DEPTH, mlp=MLP)


def official_shapes(network: str) -> dict[str, tuple]:
    """Name the weights of a small network of a method as its authors do."""
    if network == 'toco':
        shapes = toco_shapes(NUM_CLASSES, hidden=8, bottleneck=8, out=8, **_VIT)
        return {name.removeprefix('module.'): shape for name, shape in shapes.items()}
    if network == 'dupl':  # with the 20 classes of VOC, for which its authors list thresholds
        return {name.removeprefix('module.'): shape for name, shape in dupl_shapes(20, **_VIT).items()}
    if network == 'mctformer-v1':
        return {**class_token_shapes(NUM_CLASSES, head_taps=(), **_VIT), 'head.weight': (NUM_CLASSES, WIDTH)}
    if network == 'mctformer-plus':
        return mctformer_plus_shapes(NUM_CLASSES, grid=14, **_VIT)
    if network in ('mctformer-v2', 'aream'):
        return class_token_shapes(NUM_CLASSES, **_VIT)
    if network == 'weaktr':
        return {**class_token_shapes(NUM_CLASSES, **_VIT), **weaktr_fusion_shapes(reduction=4, **FUSION)}
    if network in ('weaktr-v3', 'weaktr-v3-coco'):
        return {**class_token_shapes(NUM_CLASSES, **_VIT), **weaktr_fusion_shapes('V3', reduction=8, **FUSION)}
    if network == 'transcam':
        return conformer_shapes(21, WIDTH, (64, 128, 256), depth=6)
    if network == 'aream-conformer':
        shapes = conformer_shapes(NUM_CLASSES, WIDTH, (64, 128, 256), depth=6, conv_head=(1, 1))
        return {name.replace('conv_cls_head', 'cnn_head').replace('trans_cls_head', 'att_head'): shape
                for name, shape in shapes.items()}
    if network == 'weaktr-seg':
        return segmenter_shapes(NUM_CLASSES + 1, grid=7, **_VIT)
    if network == 'weaktr-seg-dinov2':
        return segmenter_shapes(NUM_CLASSES + 1, grid=7, layer_scale=True, **_VIT)
    if network == 'weaktr-seg-eva02':
        return eva02_segmenter_shapes(NUM_CLASSES + 1, grid=7, heads=HEADS, **_VIT)
    if network == 'deeplab-resnet38':
        width = 4
        return {**resnet38_shapes(width),
                'fc8_seg_conv1.weight': (8 * width, 64 * width, 3, 3), 'fc8_seg_conv1.bias': (8 * width, ),
                'fc8_seg_conv2.weight': (NUM_CLASSES + 1, 8 * width, 3, 3), 'fc8_seg_conv2.bias': (NUM_CLASSES + 1, )}
    if network == 'deeplabv2':
        return _deeplabv2_shapes(4)
    raise ValueError(f'there is no network {network!r}')


def _deeplabv2_shapes(width: int) -> dict[str, tuple]:
    """Name the weights of the PyTorch port of DeepLab-V2 on a ResNet-50 with ``width`` channels in its stem."""
    convs = {'layer1.conv1': (width, 3, 7, 7)}
    before = width
    for layer, blocks in ((2, 3), (3, 4), (4, 6), (5, 3)):
        after = 4 * width * 2 ** (layer - 2)
        for block in range(1, blocks + 1):
            name, middle = f'layer{layer}.block{block}', after // 4
            convs.update({f'{name}.reduce': (middle, before, 1, 1), f'{name}.conv3x3': (middle, middle, 3, 3),
                          f'{name}.increase': (after, middle, 1, 1)})
            if block == 1:
                convs[f'{name}.shortcut'] = (after, before, 1, 1)
            before = after
    shapes = {}
    for name, shape in convs.items():
        norm = {f'{name}.bn.{kind}': shape[:1] for kind in ('weight', 'bias', 'running_mean', 'running_var')}
        shapes.update({f'{name}.conv.weight': shape, **norm, f'{name}.bn.num_batches_tracked': ()})
    for index in range(4):
        shapes.update({f'aspp.c{index}.weight': (NUM_CLASSES + 1, before, 3, 3),
                       f'aspp.c{index}.bias': (NUM_CLASSES + 1, )})
    return shapes


def seeded_weights(shapes: dict[str, tuple]) -> dict[str, Tensor]:
    """Draw weights by their names, large enough for maps that are far from constant."""
    weights = {}
    for name, shape in shapes.items():
        draw = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
        if name.endswith('num_batches_tracked'):
            draw = np.ones((), np.int64)
        elif name.endswith('running_var'):
            draw = 1 + .1 * abs(draw)
        elif len(shape) == 1:
            draw = .1 * draw + name.endswith('.weight')
        elif 'token' in name or 'embed' in name and 'patch' not in name or 'cls_emb' in name:
            draw *= .5
        else:
            # Responses to what all inputs have in common would hide those to their differences.
            draw -= draw.mean(axis=tuple(range(1, len(shape))), keepdims=True)
            draw *= math.sqrt(2 / math.prod(shape[1:]))
        weights[name] = torch.from_numpy(np.asarray(draw)).to(torch.int64 if not shape else torch.float32)
    return weights


def official_weights(network: str) -> dict[str, Tensor]:
    """Draw the weights of a small network of a method under its authors' names."""
    weights = seeded_weights(official_shapes(network))
    if network == 'deeplabv2':  # Probabilities between 0 and 1, where all would be one or the other.
        weights.update({name: weight * .01 for name, weight in weights.items() if name.startswith('aspp.')})
    if network == 'dupl':  # The decoders are sure of some pixels, and far from the labels of others.
        weights.update({name: weight * 8 for name, weight in weights.items() if name.endswith('conv8.weight')})
    return weights
