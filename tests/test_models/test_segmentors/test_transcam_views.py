"""TransCAM's maps of a photograph: squares of several sizes and their mirror images, fused as published."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from torch.nn import functional as F

from mmwsss.models import extract_features
from mmwsss.registry import MODELS

from ...helpers import REPO, attention_maps

SIZES = ((32, 32), (64, 64), (96, 96))
MEAN, STD = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])


def build(**cams):
    """The configured model, but narrow and shallow, with smaller views and three classes."""
    cfg = Config.fromfile(REPO / 'configs/transcam/transcam_conformer-s_voc.py')
    cfg.merge_from_dict(dict(model=dict(
        backbone=dict(init_cfg=None, arch=dict(
            _delete_=True, embed_dims=24, depths=6, num_heads=2, channel_ratio=0.25)),
        cam_head=dict(num_classes=3, conv_channels=64, token_channels=24),
        test_cfg=dict(cams={'sizes': SIZES, **cams}))))
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    for name, param in model.named_parameters():
        if 'bn3.weight' in name:
            torch.nn.init.uniform_(param)
        if 'attn.qkv' in name:
            torch.nn.init.normal_(param, std=0.5)
    return model.eval()


@pytest.fixture(scope='module')
def photo():
    """A photograph of smooth colors, uint8 (60, 90, 3) RGB, and the same as the model's input."""
    rng = np.random.default_rng(0)
    picture = np.asarray(Image.fromarray(rng.integers(0, 256, (6, 9, 3), dtype=np.uint8)).resize((90, 60)))
    return picture, as_input(picture)


def as_input(picture):
    return torch.from_numpy((picture - MEAN) / STD).float().permute(2, 0, 1)[None]


def published_maps(model, picture):
    """Views made by Pillow, one pass each with all attention kept; loops over classes."""
    height, width = picture.shape[:2]
    total = np.zeros((3, height, width), np.float32)
    for size, mirrored in ((size, mirrored) for size in SIZES for mirrored in (False, True)):
        view = np.asarray(Image.fromarray(picture).resize(size[::-1], Image.BICUBIC))
        view = as_input(view[:, ::-1] if mirrored else view)
        affinity = sum(maps[0].mean(0) for maps in attention_maps(model.backbone, view))[1:, 1:]
        raw = model.cam_head.conv_cls_head(extract_features(model.backbone, view).maps[-1])[0]
        refined = torch.stack([(affinity @ raw[1 + c].flatten()).view(raw.shape[1:]) for c in range(3)])
        maps = F.interpolate(refined[None], size=(height, width), mode='bilinear', align_corners=False)[0]
        total += np.ascontiguousarray(maps.numpy()[..., ::-1] if mirrored else maps.numpy())
    total[total < 0] = 0
    for one in total:
        low, high = one.min(), one.max()
        one[one < low + 1e-5] = 0
        one[:] = (one - low - 1e-5) / (high - low + 1e-5)
    return total


@torch.no_grad()
def test_maps_are_the_published_ones(photo):
    model = build()
    picture, inputs = photo
    expected = published_maps(model, picture)
    assert expected.std() > 0.1
    found = model.predict_cams(inputs)
    assert found['cams'].shape == (1, 3, 60, 90)
    gap = np.abs(found['cams'][0].numpy() - np.clip(expected, 0, None))
    assert gap.max() < 0.02, 'a gray level here and there'
    assert gap.mean() < 1e-3


@torch.no_grad()
def test_scores_come_from_the_closest_view(photo):
    model, seen = build(), []
    hook = model.backbone.conv1.register_forward_hook(lambda module, args, out: seen.append(tuple(args[0].shape)))
    found = model.predict_cams(photo[1])
    hook.remove()
    assert seen == [(2, 3, *size) for size in SIZES], 'no pass but those of the views'
    resized = as_input(np.asarray(Image.fromarray(photo[0]).resize((64, 64), Image.BICUBIC)))
    torch.testing.assert_close(found['logits'], model(resized), atol=2e-2, rtol=1e-2)
    assert not torch.allclose(found['logits'], model(photo[1]), atol=2e-2, rtol=1e-2)


@torch.no_grad()
def test_aspect_is_kept_if_asked(photo):
    model, seen = build(sizes=None), []
    model.backbone.conv1.register_forward_hook(lambda module, args, out: seen.append(tuple(args[0].shape[2:])))
    cams = model.predict_cams(photo[1])['cams']
    assert seen == [(32, 48), (64, 96), (96, 128)]
    assert cams.shape == (1, 3, 60, 90)
    assert cams.min() >= 0
    assert cams.max() <= 1


@torch.no_grad()
def test_scales_of_the_caller_replace_sizes(photo):
    model, seen = build(), []
    model.backbone.conv1.register_forward_hook(lambda module, args, out: seen.append(tuple(args[0].shape)))
    model.predict_cams(photo[1], scales=(1.0, ), flip=False)
    assert seen == [(1, 3, 64, 96)]


def test_unknown_interpolation(photo):
    with pytest.raises(ValueError, match="interpolation must be 'bilinear' or 'bicubic', got 'nearest'"):
        build(interpolation='nearest').predict_cams(photo[1])
