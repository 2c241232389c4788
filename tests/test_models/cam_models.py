"""A tiny model of every method with CAMs, all of which pass the same tests."""

import io
from collections.abc import Callable
from typing import Any, NamedTuple, Optional

import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import MessageHub
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch.nn import functional as F

from mmwsss.models import SingleStage, ToCo
from mmwsss.registry import MODELS

from ..helpers import REPO
from . import toco_example

__all__ = ['METHODS', 'Method', 'build', 'copy_of', 'images_of', 'is_observable', 'reactivation', 'samples_of',
           'stem_of', 'training_inputs']

WIDTH, LAYERS, HEADS, PATCH = 16, 3, 2, 8
VIEWS = dict(scales=(1.0, 0.5), flip=True, flip_fusion='sum', scale_fusion='sum', normalize='minmax', eps=1e-8)


class Method(NamedTuple):
    """A method and what it gives.

    Attributes:
        config: Number of classes -> config of the model.
        scores: Names of its scores.
        maps: Names of the maps of ``extract_cams``.
        reactivated: Two maps that affinity can be re-activated with.
    """

    config: Callable[[int], dict]
    scores: tuple[str, ...]
    maps: tuple[str, ...]
    reactivated: tuple[str, ...] = ()


def classifier(backbone: dict, cam_head: dict, **kwargs: Any) -> dict:
    """Return the config of a classifier with two scales."""
    return dict(type='CAMClassifier', backbone=backbone, cam_head=cam_head,
                test_cfg=dict(threshold=.4, cams=VIEWS), **kwargs)


def vit(num_classes: int) -> dict:
    """Return a backbone with a token for each class."""
    return dict(type='AttentionViT', img_size=32, patch_size=PATCH, num_class_tokens=num_classes, raw_output=True,
                arch=dict(embed_dims=WIDTH, num_layers=LAYERS, num_heads=HEADS, feedforward_channels=WIDTH))


def token_method(head: str, **kwargs: Any) -> Callable[[int], dict]:
    """Return the configs of a head that has a token for each class."""
    return lambda num_classes: classifier(
        vit(num_classes), dict(type=head, num_classes=num_classes, in_channels=WIDTH, **kwargs))


def plain(in_channels: int, **backbone: Any) -> Callable[[int], dict]:
    """Return the configs of plain class activation maps."""
    return lambda num_classes: classifier(
        backbone, dict(type='CAMHead', num_classes=num_classes, in_channels=in_channels))


def weaktr(**kwargs: Any) -> Callable[[int], dict]:
    """Return the configs of a version of WeakTr."""
    return token_method('WeakTrHead', num_layers=LAYERS, num_heads=HEADS, reduction=2, feat_reduction=2, **kwargs)


def transcam(num_classes: int, head: Optional[dict] = None, **kwargs: Any) -> dict:
    """Return the config of TransCAM, with changes of its head."""
    arch = dict(embed_dims=24, depths=3, num_heads=HEADS, channel_ratio=.25)
    return classifier(
        dict(type='AttentionConformer', arch=arch, stem_stride=2),
        dict(type='TransCAMHead', num_classes=num_classes, conv_channels=64, token_channels=24, **(head or {})),
        **kwargs)


def toco(num_classes: int, aux_map: Optional[str] = None, **head: Any) -> dict:
    """Return the config of ToCo, with its own head or one whose map ``aux_map`` serves the contrasts."""
    cfg = toco_example.model_cfg()
    cfg.cam_head.num_classes = num_classes
    cfg.decode_head.num_classes = 1 + num_classes
    if aux_map is not None:
        cfg.cam_head = ConfigDict(num_classes=num_classes, in_channels=32, **head)
        cfg.backbone.num_class_tokens = num_classes if head['type'] == 'MCTformerHead' else 1
        cfg.train_cfg.aux_map = aux_map
    return cfg


def dupl(num_classes: int) -> dict:
    """Return the config of DuPL, of whose students each has the parts of :func:`toco`; all of its terms are on."""
    cfg, student = Config.fromfile(REPO / 'configs/_base_/models/dupl_vit-b.py').model, toco(num_classes)
    cfg.update({name: student[name] for name in ('backbone', 'cam_head', 'decode_head')})
    cfg.noise_filter.min_pixels = 20
    cfg.train_cfg.update(high_kept=(), noise_filter_begin=0, phases=[dict(begin=0)])
    return cfg


def reactivation(map_name: str, **kwargs: Any) -> dict:
    """Return AReAM's mechanism as configured, for a map."""
    cfg = Config.fromfile(REPO / 'configs/_base_/models/reactivation.py').reactivation
    return dict(cfg, map_name=map_name, **kwargs)


SWIN = dict(type='mmpretrain.SwinTransformer', arch=dict(embed_dims=8, depths=[1, 1], num_heads=[1, 2]), img_size=32,
            patch_size=4, window_size=4, out_indices=(1, ), pad_small_map=True)
PLAIN_VIT = dict(type='mmpretrain.VisionTransformer', img_size=32, patch_size=PATCH, out_type='featmap',
                 patch_cfg=dict(padding=0),
                 arch=dict(embed_dims=8, num_layers=1, num_heads=1, feedforward_channels=8))
V2_MAPS = ('cams', 'attention', 'patch_cams', 'fused_cams')
V2_SCORES = ('logits', 'patch_logits')
WEAKTR = (('logits', 'coarse_logits', 'fine_logits'), ('cams', 'coarse_cams', 'cross_attention', 'fused_cams'),
          ('fused_cams', 'coarse_cams'))
TRANSCAM = ('logits', 'conv_logits', 'trans_logits'), ('cams', 'conv_cams'), ('conv_cams', 'cams')

METHODS = {
    'cam-resnet': Method(plain(32, type='mmpretrain.ResNet', depth=18, base_channels=4, stem_channels=4,
                               strides=(1, 2, 1, 1)),
                         ('logits', ), ('cams', )),
    'cam-swin': Method(plain(16, **SWIN), ('logits', ), ('cams', )),
    'cam-vit': Method(plain(8, **PLAIN_VIT), ('logits', ), ('cams', )),
    'toco': Method(toco, ('logits', 'aux_logits'), ('cams', 'aux_cams'), ('aux_cams', 'cams')),
    'dupl': Method(dupl, ('logits', 'aux_logits'), ('cams', 'aux_cams'), ('aux_cams', 'cams')),
    'toco-mctformer-v1': Method(
        lambda num_classes: toco(num_classes, 'attention', type='MCTformerHead', patch_classifier=False),
        ('logits', ), ('cams', 'attention'), ('attention', 'cams')),
    'toco-mctformer-v2': Method(
        lambda num_classes: toco(num_classes, 'patch_cams', type='MCTformerHead'), V2_SCORES, V2_MAPS,
        ('fused_cams', 'patch_cams')),
    'toco-cam': Method(
        lambda num_classes: toco(num_classes, 'cams', type='CAMHead'), ('logits', ), ('cams', ), ('cams', 'cams')),
    'mctformer-v1': Method(token_method('MCTformerHead', patch_classifier=False, attention_layers=2),
                           ('logits', ), ('cams', 'attention'), ('attention', 'refined_attention')),
    'mctformer-v2': Method(token_method('MCTformerHead', attention_layers=2), V2_SCORES, V2_MAPS,
                           ('fused_cams', 'patch_cams')),
    'mctformer-plus': Method(token_method('MCTformerHead', fusion='root', patch_pool='gwrp'), V2_SCORES, V2_MAPS,
                             ('fused_cams', 'patch_cams')),
    'weaktr-v1': Method(weaktr(), *WEAKTR),
    'weaktr-v2': Method(weaktr(pool_source='block_out', pool='max'), *WEAKTR),
    'weaktr-v3': Method(weaktr(pool_source='attn_out', pool='max'), *WEAKTR),
    'aream': Method(token_method('AReAMHead', attention_layers=2, num_layers=LAYERS), V2_SCORES,
                    ('cams', 'raw_cams', 'patch_cams'), ('raw_cams', 'patch_cams')),
    'transcam': Method(transcam, *TRANSCAM),
    'transcam-branches': Method(
        lambda num_classes: transcam(num_classes, dict(background_channel=False, kernel_size=1, trained='branches')),
        *TRANSCAM),
    'transcam-aream': Method(
        lambda num_classes: transcam(num_classes, auxiliary=[reactivation('conv_cams')]), *TRANSCAM)}


def build(name: str, num_classes: int = 3, seed: int = 0, **changes: Any) -> nn.Module:
    """Build a method's model in evaluation mode, with the same weights for the same seed; all losses are on.

    Args:
        name: Of :data:`METHODS`.
        num_classes: C.
        seed: Of the weights.
        changes: Merged into the config.
    """
    MessageHub.get_current_instance().update_info_dict(dict(iter=10, epoch=0))
    cfg = Config(dict(model=METHODS[name].config(num_classes)))
    cfg.merge_from_dict(dict(model=changes))
    torch.manual_seed(seed)
    model = MODELS.build(cfg.model)
    for part in model.modules():
        if isinstance(part, (nn.Linear, nn.LayerNorm)):
            nn.init.normal_(part.weight, mean=float(isinstance(part, nn.LayerNorm)), std=.3)
    for key, param in model.named_parameters():
        if key.endswith(('cls_token', 'pos_embed')):
            nn.init.normal_(param, std=.3)
    for part in model.cam_head.modules():
        if isinstance(part, nn.Conv2d) and name.startswith(('cam-resnet', 'transcam')):
            part.weight.data.abs_()  # of features that are all positive: no map is 0 everywhere
    if isinstance(model, ToCo):
        model.teacher_projector.load_state_dict(model.projector.state_dict())
    return model.eval()


def copy_of(model: nn.Module, fresh: nn.Module) -> nn.Module:
    """Load the saved weights of a model into another."""
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    fresh.load_state_dict(torch.load(file, weights_only=True))
    return fresh


def is_observable(name: str) -> bool:
    """Return whether the attention of a method's backbone can be observed."""
    return bool(METHODS[name].reactivated)


def images_of(height: int = 32, width: int = 48, count: int = 2, seed: int = 1) -> Tensor:
    """Draw smooth images (count, 3, height, width)."""
    small = torch.rand(count, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(small, size=(height, width), mode='bicubic') * 4 - 2


def samples_of(labels: Tensor, shape: tuple[int, int] = (32, 48)) -> list:
    """Return samples with image labels (B, C) and an original size."""
    found = []
    for index, row in enumerate(labels):
        sample = SegDataSample(metainfo=dict(ori_shape=shape, img_shape=shape, sample_seed=index))
        sample.set_field(row, 'gt_label')
        found.append(sample)
    return found


def training_inputs(model: nn.Module, images: Tensor) -> Any:
    """Return what the model's ``loss`` takes: images, or the views of them that single-stage models need."""
    if not isinstance(model, SingleStage):
        return images
    return dict(main=images, global2=images.flip(-2), local=images + .1, perturbed=.7 * images)


def stem_of(model: nn.Module) -> nn.Module:
    """Return the first convolution of the backbone, which sees every image that is run."""
    return next(part for part in model.backbone.modules() if isinstance(part, nn.Conv2d))
