"""Layouts of published backbones, which are recognized by the names of their weights."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Union

import torch
from torch import Tensor, nn

from mmwsss.utils import first_few

from .foreign_formats import is_mxnet_params, read_augreg_vit, read_mxnet_params
from .key_mapping import KeyLayout, KeyRule, rename_weights
from .loader import CheckpointError, MapLocation, read_checkpoint, weights_of
from .official_layouts import (
    BATCH_NORM,
    CONFORMER_RULES,
    WB,
    eva02_rules,
    layer_scale_rules,
    mxnet_resnet38_rules,
    resnet38_blocks,
    resnet38_rules,
    vit_rules,
)
from .onnx_weights import is_onnx, read_onnx_weights

__all__ = ['BACKBONE_LAYOUTS', 'BackboneLayout', 'check_backbone_fit', 'read_backbone', 'rename_backbone']

PathLike = Union[str, os.PathLike]

_LITE0_BLOCKS = (1, 2, 2, 6, 5)
"""tuple: Blocks per stage of mmpretrain's EfficientNet-B0, which counts the stages from 1."""
_HEADS = re.compile(r'(head|fc|classifier|cls_head|decode_head|cam_head|neck)\.')
_FREE_SIZES = ('cls_token', 'pos_embed')
"""tuple: Weights of :class:`~mmwsss.models.AttentionViT` that are resized when they are loaded."""
_PATCH_KERNEL = 'patch_embed.projection.weight'


class BackboneLayout(NamedTuple):
    """A layout and how it is recognized.

    Attributes:
        mark (str): Regular expression of the whole name of a weight that no layout further down the list has.
        layout (KeyLayout): The rules; new names are those of the backbone alone, or begin with ``backbone.``.
    """

    mark: str
    layout: KeyLayout


def dinov2_rules() -> tuple[KeyRule, ...]:
    """Map a DINOv2 backbone as its authors (Meta) publish it: timm's names and two scales per block."""
    return (
        *vit_rules(target=''),
        *layer_scale_rules(target=''),
        KeyRule('mask_token', None, required=False),
    )


def hf_dinov2_rules() -> tuple[KeyRule, ...]:
    """Map a DINOv2 backbone in the layout of Hugging Face, whose query, key and value :func:`join_qkv` has joined."""
    model = r'(?:dinov2\.|backbone\.)?'
    old, new = rf'{model}encoder\.layer\.(\d+)\.', r'layers.\1.'
    return (
        KeyRule(rf'{model}embeddings\.cls_token', 'cls_token'),
        KeyRule(rf'{model}embeddings\.position_embeddings', 'pos_embed'),
        KeyRule(rf'{model}embeddings\.patch_embeddings\.projection\.{WB}', r'patch_embed.projection.\1'),
        KeyRule(rf'{old}norm([12])\.{WB}', rf'{new}ln\2.\3'),
        KeyRule(rf'{old}attention\.qkv\.{WB}', rf'{new}attn.qkv.\2'),
        KeyRule(rf'{old}attention\.output\.dense\.{WB}', rf'{new}attn.proj.\2'),
        KeyRule(rf'{old}layer_scale1\.lambda1', rf'{new}attn.gamma1.weight'),
        KeyRule(rf'{old}layer_scale2\.lambda1', rf'{new}ffn.gamma2.weight'),
        KeyRule(rf'{old}mlp\.fc1\.{WB}', rf'{new}ffn.layers.0.0.\2'),
        KeyRule(rf'{old}mlp\.fc2\.{WB}', rf'{new}ffn.layers.1.\2'),
        KeyRule(rf'{model}layernorm\.{WB}', r'ln1.\1'),
        KeyRule(rf'{model}embeddings\.mask_token', None, required=False),
        KeyRule(r'(classifier|decoder|head)\..*', None, required=False),
    )


def lite0_rules() -> tuple[KeyRule, ...]:
    """Map EfficientNet-Lite0 in the naming of ``efficientnet_pytorch``, whose blocks are counted through."""
    convs = (('expand', 0, 'expand_conv'), ('depthwise', 1, 'depthwise_conv'), ('project', 2, 'linear_conv'))
    rules = [KeyRule(r'_conv_stem\.weight', 'layers.0.conv.weight'), KeyRule(rf'_bn0\.{BATCH_NORM}', r'layers.0.bn.\1'),
             KeyRule(r'_conv_head\.weight', 'layers.6.conv.weight'), KeyRule(rf'_bn1\.{BATCH_NORM}', r'layers.6.bn.\1')]
    places = [(stage, block) for stage, count in enumerate(_LITE0_BLOCKS, 1) for block in range(count)]
    for index, (stage, block) in enumerate(places):
        old, new = rf'_blocks\.{index}\.', f'layers.{stage}.{block}.'
        for conv, norm, name in convs:
            needed = index > 0 or conv != 'expand'  # The first block does not expand.
            rules += [KeyRule(rf'{old}_{conv}_conv\.weight', f'{new}{name}.conv.weight', needed),
                      KeyRule(rf'{old}_bn{norm}\.{BATCH_NORM}', rf'{new}{name}.bn.\1', needed)]
    return (*rules, KeyRule(rf'_fc\.{WB}', None, required=False))


BACKBONE_LAYOUTS = (
    BackboneLayout(r'(dinov2\.|backbone\.)?embeddings\.patch_embeddings\.projection\.weight',
                   KeyLayout("DINOv2 in Hugging Face's layout", hf_dinov2_rules())),
    BackboneLayout(r'base_encoder\.patch_embed\.proj\.weight', KeyLayout('MoCo-v3', (
        *vit_rules('base_encoder.', target=''),
        KeyRule(r'(base_encoder\.head|momentum_encoder|predictor)\..*', None, required=False)))),
    BackboneLayout(r'blocks\.0\.ls1\.gamma', KeyLayout("DINOv2 in Meta's layout", dinov2_rules())),
    BackboneLayout(r'blocks\.0\.mlp\.w12\.weight', KeyLayout('EVA-02', eva02_rules(target=''))),
    BackboneLayout(r'patch_embed\.proj\.weight', KeyLayout("ViT in timm's naming (DeiT, MAE, MoCo-v3)", (
        *vit_rules(target=''), KeyRule(r'mask_token|decoder_.*', None, required=False)))),
    BackboneLayout(r'_conv_stem\.weight', KeyLayout('EfficientNet-Lite0', lite0_rules(), alike=False)),
    BackboneLayout(r'trans_1\.norm1\.weight', KeyLayout("Conformer (the authors' files)", (
        *CONFORMER_RULES, KeyRule(rf'(conv|trans)_cls_head\.{WB}', None, required=False)))),
    BackboneLayout(r'arg:conv1a_weight',
                   KeyLayout('Wide-ResNet-38 (MXNet)', mxnet_resnet38_rules(''), blocks=resnet38_blocks(''))),
    BackboneLayout(r'b2\.conv_branch2a\.weight', KeyLayout("Wide-ResNet-38 (PSA's names)", (
        *resnet38_rules(''), KeyRule(r'fc8\.weight', None, required=False)), blocks=resnet38_blocks(''))),
)
"""Layouts in the order in which they are tried."""


def read_backbone(path: PathLike, map_location: MapLocation = 'cpu') -> dict[str, Tensor]:
    """Read the weights of a backbone from a file of any known layout.

    Known are the files of :data:`BACKBONE_LAYOUTS`, AugReg's ``.npz``, MXNet's ``.params``, ONNX files of DINOv2, and
    what already has the names of this package: a backbone alone, or a whole model with a ``backbone.``.

    Args:
        path (str or PathLike): See :func:`~mmwsss.checkpoints.read_checkpoint`.
        map_location (str or torch.device): Device of the tensors; other formats than PyTorch's are read on the CPU.

    Returns:
        dict[str, Tensor]: Weights by the names of the backbone. Heads are left out.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: The file cannot be read, or is an incomplete or unexpected one of its layout.
    """
    if Path(path).suffix == '.npz':
        return read_augreg_vit(path)
    if is_onnx(path):
        return rename_backbone(read_onnx_weights(path), path)
    if os.path.isfile(path) and is_mxnet_params(path):
        return rename_backbone(read_mxnet_params(path), path)
    checkpoint = read_checkpoint(path, map_location)
    weights = weights_of(checkpoint)
    if not weights:
        raise CheckpointError(f'checkpoint {path} holds no weights; its keys are {first_few(checkpoint)}')
    return rename_backbone(weights, path)


def rename_backbone(weights: Mapping[str, Tensor], path: PathLike) -> dict[str, Tensor]:
    """Recognize the layout of weights, and rename them for the backbone.

    Args:
        weights (Mapping[str, Tensor]): Weights by their old names.
        path (str or PathLike): The file, for messages.

    Returns:
        dict[str, Tensor]: Weights by the names of the backbone.

    Raises:
        CheckpointError: Weights of the recognized layout are missing or left over.
    """
    for mark, layout in BACKBONE_LAYOUTS:
        if any(re.fullmatch(mark, name) for name in weights):
            renamed = rename_weights(join_qkv(weights), layout, path)
            return {name.removeprefix('backbone.'): value for name, value in renamed.items()}
    own = {name.removeprefix('backbone.'): value for name, value in weights.items() if name.startswith('backbone.')}
    if own:
        return own
    return {name: value for name, value in weights.items() if not _HEADS.match(name)}


def join_qkv(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Join the query, key and value of Hugging Face's attention into one linear layer, as all other layouts have it.

    Args:
        weights (Mapping[str, Tensor]): Weights by name.

    Returns:
        dict[str, Tensor]: ``*.attention.qkv.weight`` (3 D, D) and ``*.attention.qkv.bias`` (3 D,) in place of
        ``*.attention.attention.query.weight`` (D, D) and so on; all other weights unchanged, as are incomplete ones.
    """
    joined = dict(weights)
    for name in weights:
        found = re.fullmatch(rf'(.*attention)\.attention\.query\.{WB}', name)
        parts = [f'{found[1]}.attention.{part}.{found[2]}' for part in ('query', 'key', 'value')] if found else []
        if parts and all(part in joined for part in parts):
            joined[f'{found[1]}.qkv.{found[2]}'] = torch.cat([joined.pop(part) for part in parts])
    return joined


def check_backbone_fit(backbone: nn.Module, weights: Mapping[str, Tensor], path: PathLike) -> None:
    """Check that weights are those of a backbone, all of them and no other.

    Args:
        backbone (nn.Module): The backbone.
        weights (Mapping[str, Tensor]): What :func:`read_backbone` has read.
        path (str or PathLike): The file, for messages.

    Raises:
        CheckpointError: Names or shapes differ; the message lists the first ones. Class tokens and position
            embeddings may differ in length, because they are resized when they are loaded.
    """
    own = backbone.state_dict()
    missing = [name for name in own if name not in weights and not name.endswith('num_batches_tracked')]
    unexpected = [name for name in weights if name not in own]
    shapes = [f'{name} {tuple(weights[name].shape)} against {tuple(own[name].shape)}' for name in own
              if name in weights and not _fits(backbone, name, weights[name], own[name])]
    problems = [f'{text} {first_few(names, 3)}' for text, names in (
        (f'it lacks {len(missing)} of {len(own)} weights:', missing),
        (f'it has {len(unexpected)} that the backbone does not:', unexpected),
        (f'{len(shapes)} differ in shape, checkpoint against backbone:', shapes)) if names]
    if problems:
        raise CheckpointError(
            f"{path} does not fit the config's backbone ({type(backbone).__name__}): {'; '.join(problems)}. Choose a "
            'config with this backbone, or set its arch, img_size, patch_size and the like with --cfg-options')


def _fits(backbone: nn.Module, name: str, value: Tensor, own: Tensor) -> bool:
    if name == _PATCH_KERNEL and getattr(backbone, 'resize_patch_embed', False):
        return value.shape[:2] == own.shape[:2]
    return value.shape == own.shape or (name in _FREE_SIZES and value.shape[-1] == own.shape[-1])
