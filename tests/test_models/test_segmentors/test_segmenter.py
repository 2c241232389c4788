"""Segmenter's worked examples, its windows, and refined test-time augmentation."""

from dataclasses import replace

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import nn

from mmwsss.checkpoints import OFFICIAL_LAYOUTS, map_keys
from mmwsss.models import AttentionViT, LabelStep, MaskTransformerHead, MultiScaleTTA, Segmenter
from mmwsss.models.segmentors.segmenter import enlarged
from mmwsss.registry import MODELS

from ...official_checkpoints import filled_weights, segmenter_shapes, wave_image
from ...published_maps import DEPTH, HEADS, MLP, NUM_CLASSES, WIDTH, official_weights

ARCH = dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=96)


def tiny_segmenter(**test_cfg) -> Segmenter:
    return Segmenter(
        backbone=dict(type='AttentionViT', arch=ARCH, img_size=64, patch_size=16, norm_cfg=dict(type='LN', eps=1e-5),
                      interpolate_mode='bilinear'),
        decode_head=dict(type='MaskTransformerHead', in_channels=24, channels=24, embed_dims=24, num_layers=2,
                         num_heads=3, num_classes=4, align_corners=False),
        train_cfg=dict(), test_cfg=dict(mode='whole', **test_cfg)).eval()


@pytest.mark.parametrize(('size', 'means'), [
    ((64, 64), [.466056, .822224, .072688, -1.360919]), ((64, 72), [1.333043, .543271, -.355265, -1.479613]),
    ((80, 50), [1.267925, .608451, -.311682, -1.522253])])
@torch.no_grad()
def test_whole_network_of_the_worked_example(size, means):
    """Weights by the official names and a rule; converted, loaded strictly."""
    shapes = segmenter_shapes(4, 24, mlp=96, grid=4, depth=2)
    model = tiny_segmenter().double()
    model.load_state_dict(map_keys(filled_weights(shapes), OFFICIAL_LAYOUTS['weaktr-seg']).state_dict)
    logits = model.encode_decode(wave_image(size), [{}])
    assert logits.shape == (1, 4, *size)
    torch.testing.assert_close(logits.mean((0, 2, 3)), torch.tensor(means).double(), atol=2e-6, rtol=0)
    if size == (64, 64):
        torch.testing.assert_close(logits[0, :, 10, 20], torch.tensor([.585915, .866766, .036851, -1.475946]).double(),
                                   atol=2e-6, rtol=0)


# What the segmentation network of hustvl/WeakTr, 3457ad3, computes: mean logits of the classes and those of a pixel.
PUBLISHED = {
    ('dinov2', (112, 112)): ([.189989, -.185752, .439775, .106608], [1.842976, -.052705, -.964586, -.407383]),
    ('dinov2', (112, 128)): ([.007088, .800648, -.122682, -.338615], [.128313, 1.421387, -.919463, -.4982]),
    ('dinov2', (100, 90)): ([.053938, -.118162, -.002295, .471348], [.285733, -.014574, .974602, -.534447]),
    ('eva02', (112, 112)): ([-.963182, .450331, .512442, .377045], [-.808209, 1.306752, .186324, -.390814]),
}
BACKBONES = {
    'dinov2': dict(type='AttentionViT', layer_scale_init_value=1e-5, arch=dict(
        embed_dims=WIDTH, num_layers=DEPTH, num_heads=HEADS, feedforward_channels=MLP)),
    'eva02': dict(type='EVA02ViT', arch=dict(
        embed_dims=WIDTH, num_layers=DEPTH, num_heads=HEADS, feedforward_channels=int(4 * 2 / 3 * WIDTH))),
}


@pytest.mark.parametrize(('name', 'size'), PUBLISHED)
@torch.no_grad()
def test_networks_on_other_backbones_equal_the_published_ones(name, size):
    model = Segmenter(
        backbone=dict(BACKBONES[name], img_size=112, patch_size=16, norm_cfg=dict(type='LN', eps=1e-5),
                      interpolate_mode='bilinear'),
        decode_head=dict(type='MaskTransformerHead', in_channels=WIDTH, channels=WIDTH, embed_dims=WIDTH, num_layers=2,
                         num_heads=HEADS, mlp_ratio=MLP // WIDTH, num_classes=NUM_CLASSES + 1, align_corners=False),
        train_cfg=dict(), test_cfg=dict(mode='whole')).eval().double()
    network = f'weaktr-seg-{name}'
    model.load_state_dict(map_keys(official_weights(network), OFFICIAL_LAYOUTS[network]).state_dict)
    logits = model.encode_decode(wave_image(size), [{}])
    means, pixel = (torch.tensor(values).double() for values in PUBLISHED[name, size])
    torch.testing.assert_close(logits.mean((0, 2, 3)), means, atol=2e-6, rtol=0)
    torch.testing.assert_close(logits[0, :, 10, 20], pixel, atol=2e-6, rtol=0)


def test_masks_of_the_worked_example():
    head = MaskTransformerHead(in_channels=2, channels=2, embed_dims=2, num_layers=0, num_heads=1, num_classes=3,
                               align_corners=False).eval()
    head.dec_proj, head.decoder_norm = nn.Identity(), nn.Identity()
    with torch.no_grad():
        for projection in (head.patch_proj, head.classes_proj):
            projection.weight.copy_(torch.eye(2))
        head.cls_emb.copy_(torch.tensor([[[0., 2], [1, 1], [-1, 0]]]))
        masks = head([torch.tensor([[3., 4], [1, 0]]).T.reshape(1, 2, 1, 2)])
    expected = torch.tensor([[.568901, .836814, -1.405715], [.139405, 1.149065, -1.288470]])
    torch.testing.assert_close(masks[0, :, 0].T, expected, atol=2e-5, rtol=0)


def test_initialization_of_the_head():
    torch.manual_seed(0)
    head = MaskTransformerHead(in_channels=64, channels=64, embed_dims=64, num_layers=1, num_heads=2, num_classes=21,
                               align_corners=False)
    head.init_weights()
    assert head.patch_proj.weight.std().item() == pytest.approx(1 / 8, rel=.05)
    assert head.classes_proj.weight.std().item() == pytest.approx(1 / 8, rel=.05)
    for weight in (head.dec_proj.weight, head.cls_emb, head.layers[0].attn.attn.in_proj_weight):
        assert weight.std().item() == pytest.approx(.02, rel=.1)
    assert [module.p for module in head.modules() if isinstance(module, nn.Dropout)] != []
    assert head.layers[0].attn.attn.dropout == .1


def test_size_of_the_published_network():
    model = MODELS.build(dict(
        type='Segmenter',
        backbone=dict(type='AttentionViT', arch='deit-small', img_size=480, patch_size=16),
        decode_head=dict(type='MaskTransformerHead', in_channels=384, channels=384, embed_dims=384, num_layers=2,
                         num_heads=6, num_classes=21, align_corners=False), train_cfg=dict(), test_cfg=dict()))
    imagenet_head = 385 * 1000
    assert sum(param.numel() for param in model.backbone.parameters()) + imagenet_head == 22_321_000
    assert sum(param.numel() for param in model.decode_head.parameters()) == 4_000_554


def test_positions_are_stretched_when_loaded():
    vit = AttentionViT(arch=dict(embed_dims=1, num_layers=1, num_heads=1, feedforward_channels=1), img_size=48,
                       patch_size=16, interpolate_mode='bilinear')
    state = vit.state_dict()
    state['pos_embed'] = torch.tensor([9., 1, 2, 3, 4]).reshape(1, 5, 1)
    vit.load_state_dict(state)
    assert vit.pos_embed.flatten().tolist() == [9, 1, 1.5, 2, 2, 2.5, 3, 3, 3.5, 4]


@pytest.mark.parametrize(('size', 'expected'), [
    ((260, 346), (480, 638)), ((390, 520), (480, 640)), ((520, 693), (520, 693)), ((346, 260), (638, 480))])
def test_small_images_are_enlarged_to_the_window(size, expected):
    assert tuple(enlarged(torch.zeros(1, 1, *size), 480).shape[-2:]) == expected


@pytest.mark.parametrize(('size', 'rows', 'cols'), [
    ((520, 693), (0, 40), (0, 213)), ((480, 640), (0, ), (0, 160)), ((800, 1067), (0, 320), (0, 320, 587)),
    ((910, 1213), (0, 320, 430), (0, 320, 640, 733)), ((260, 346), (0, ), (0, 158))])
def test_windows(size, rows, cols, monkeypatch):
    model = tiny_segmenter()
    model.test_cfg = ConfigDict(mode='slide', crop_size=(480, 480), stride=(320, 320))
    seen = []
    ramp = torch.arange(size[0] * size[1]).float().reshape(1, 1, *size)

    def encode(window, metas):
        assert window.shape[-2:] == (480, 480)
        seen.append(window[0, 0, 0, 0].item())
        return window.expand(-1, 4, -1, -1)

    monkeypatch.setattr(model, 'encode_decode', encode)
    metas = [dict(img_shape=size)]
    out = model.slide_inference(ramp, metas)
    whole = enlarged(ramp, 480)
    assert seen == [whole[0, 0, row, col].item() for row in rows for col in cols]
    torch.testing.assert_close(out[:, :1], whole)
    assert metas == [dict(img_shape=size)], 'the caller keeps its own'


class Brighten(LabelStep):
    """A step that prefers the last class left."""

    classes = None

    def transform(self, batch):
        Brighten.classes = batch.classes[0].tolist()
        scores = torch.zeros_like(batch.scores)
        scores[:, :, -1] = 1
        return replace(batch, scores=scores)


def views_of_one_image(path: str) -> list:
    samples = []
    for logits in ([[4., 0], [0, 1], [0, 0]], [[0., 0], [3, 2], [0, 0]]):
        sample = SegDataSample(metainfo=dict(img_path=path))
        sample.seg_logits = PixelData(data=torch.tensor(logits)[:, None])
        samples.append(sample)
    return samples


def test_mean_of_probabilities_is_refined_among_the_winners(tmp_path):
    import cv2
    import numpy as np
    path = str(tmp_path / 'image.png')
    cv2.imwrite(path, np.zeros((1, 2, 3), np.uint8))
    model = MultiScaleTTA(module=tiny_segmenter(), views='pipeline')
    views = views_of_one_image(path)
    expected = torch.stack([view.seg_logits.data.softmax(0) for view in views]).mean(0)
    found, = model.merge_preds([views])
    torch.testing.assert_close(found.seg_logits.data, expected)
    assert found.pred_sem_seg.data.tolist() == [[[0, 1]]]
    model = MultiScaleTTA(module=tiny_segmenter(), views='pipeline', steps=[dict(type='KeepPresent'), Brighten()])
    found, = model.merge_preds([views_of_one_image(path)])
    assert Brighten.classes == [0]
    assert found.pred_sem_seg.data.tolist() == [[[1, 1]]]
