"""The classifier of multi-stage methods, with MCTformer's head on a small ViT."""

import pytest
import torch
from mmseg.structures import SegDataSample
from torch.nn.functional import multilabel_soft_margin_loss

from mmwsss.models import CAMClassifier
from mmwsss.models.utils import normalize_cams, resize_maps
from mmwsss.registry import MODELS

SCORES, LABELS = torch.tensor([[.3, -.25], [1., 2.]]), torch.tensor([[1., 0.], [0., 1.]])
LABELS3 = torch.tensor([[1., 0., 1.], [0., 1., 0.]])


def build(loss_weights=None, map_names=('cams', ), loss_cls=None, test_cfg=None, **head) -> CAMClassifier:
    torch.manual_seed(0)
    arch = dict(embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=32)
    model = MODELS.build(dict(
        type='CAMClassifier',
        backbone=dict(type='AttentionViT', arch=arch, img_size=32, patch_size=8, num_class_tokens=3,
                      pos_embed_grid='scale', raw_output=True),
        cam_head=dict(type='MCTformerHead', num_classes=3, in_channels=16, **head),
        loss_weights=loss_weights,
        loss_cls=loss_cls,
        data_preprocessor=dict(type='MultiViewPreProcessor', mean=[0, 0, 0], std=[1, 1, 1]),
        test_cfg=dict(test_cfg or {}, threshold=0.4, map_names=map_names, cams=dict(
            scales=(1.0, 0.5), flip=True, flip_fusion='sum', scale_fusion='sum', normalize='minmax', eps=1e-8))))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


def samples(labels: torch.Tensor, shape: tuple = (32, 48)) -> list:
    found = []
    for row in labels:
        sample = SegDataSample(metainfo=dict(ori_shape=shape, img_shape=shape))
        sample.set_field(row, 'gt_label')
        found.append(sample)
    return found


def test_soft_margin_loss_of_the_worked_example():
    losses = build().classification_losses(dict(logits=SCORES, patch_logits=2 * SCORES), LABELS)
    assert losses['cls'].item() == pytest.approx(0.642621, abs=1e-6)
    per_image = [multilabel_soft_margin_loss(s, y).item() for s, y in zip(SCORES, LABELS)]
    assert per_image == pytest.approx([0.565147, 0.720095], abs=1e-6)
    assert losses['patch'].item() == pytest.approx(multilabel_soft_margin_loss(2 * SCORES, LABELS).item())


def test_losses_of_the_head_s_scores():
    images, labels = torch.randn(2, 3, 32, 48), LABELS3
    model = build(loss_weights=dict(patch_logits=0.5))
    losses = model(images, samples(labels), mode='loss')
    found = model.extract_cams(images)
    assert set(losses) == {'loss_cls', 'loss_patch'}
    torch.testing.assert_close(losses['loss_cls'], multilabel_soft_margin_loss(found['logits'], labels))
    torch.testing.assert_close(losses['loss_patch'], 0.5 * multilabel_soft_margin_loss(found['patch_logits'], labels))
    assert set(build(patch_classifier=False)(images, samples(labels), mode='loss')) == {'loss_cls'}


@pytest.mark.parametrize('patch_classifier', [True, False])
def test_every_trained_parameter_gets_a_gradient(patch_classifier):
    """DistributedDataParallel would wait for those of others for ever."""
    model = build(patch_classifier=patch_classifier).train()
    losses = model(torch.randn(2, 3, 32, 32), samples(torch.eye(3)[:2]), mode='loss')
    sum(losses.values()).backward()
    without = {name for name, p in model.named_parameters() if p.grad is None}
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert without == frozen
    assert {name.split('.')[1] for name in frozen} == {'ln1'} if patch_classifier else {'ln1', 'fc'}


def test_keys_of_extract_cams():
    images, labels = torch.randn(2, 3, 32, 48), LABELS3
    model = build()
    found = model.extract_cams(images, labels)
    assert set(found) == {'logits', 'patch_logits', 'attention', 'patch_cams', 'fused_cams', 'cams'}
    assert found['cams'].shape == (2, 3, 4, 6)
    assert found['cams'][0, 1].abs().max() == 0
    torch.testing.assert_close(found['cams'][0, 0], model.extract_cams(images)['cams'][0, 0])
    torch.testing.assert_close(model(images), found['logits'])


def test_maps_of_two_scales_and_both_mirror_images():
    images = torch.randn(2, 3, 32, 48)
    model = build()
    total = 0
    for scale in (1, 0.5):
        view = resize_maps(images, (int(32 * scale), int(48 * scale)))
        for flip in (False, True):
            cams = model.extract_cams(view.flip(-1) if flip else view)['cams']
            cams = resize_maps(cams, (32, 48))
            total = total + (cams.flip(-1) if flip else cams)
    found = model.predict_cams(images)
    torch.testing.assert_close(found['cams'], normalize_cams(total, 'minmax', 1e-8), rtol=0, atol=1e-4)
    torch.testing.assert_close(found['logits'], model(images))


def test_prediction_has_all_maps_that_are_asked_for():
    model = build(map_names=('cams', 'attention', 'refined_patch_cams'))
    sample = model.predict(torch.randn(1, 3, 32, 48), samples(torch.ones(1, 3), (20, 30)))[0]
    for name in ('cams', 'attention', 'refined_patch_cams'):
        maps = sample.get(name).data
        assert maps.shape == (3, 20, 30)
        assert maps.min() >= 0
        assert maps.max() <= 1
    assert sample.cls_logits.shape == (3, )


def test_refinement_of_predicted_maps():
    """At half size, along the image in 256 levels; divided by what becomes of a plane of ones."""
    steps = [dict(type='Downscale'),
             dict(type='PixelAdaptiveRefinement', dilations=(1, 2), num_iters=2, keep_scale=True)]
    image, names = torch.rand(1, 3, 32, 48).mul(255).floor(), ('cams', 'attention')
    plain = build(map_names=names).predict(image, samples(torch.ones(1, 3)))[0]
    found = build(map_names=names, test_cfg=dict(steps=steps)).predict(image, samples(torch.ones(1, 3)))[0]
    refine = MODELS.build(steps[1])
    small = [resize_maps(maps[None], (16, 24)) for maps in (image[0] / 255, plain.cams.data)]
    expected = resize_maps(refine(*small) / refine(small[0], torch.ones(1, 1, 16, 24)), (32, 48))[0]
    torch.testing.assert_close(found.cams.data, expected, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(found.attention.data, plain.attention.data)
    with pytest.raises(ValueError, match="test_cfg of CAMClassifier no longer takes 'refiner': write steps="):
        build(test_cfg=dict(refiner=dict(type='PixelAdaptiveRefinement')))


def test_unknown_names_are_errors():
    with pytest.raises(ValueError, match="MCTformerHead has no map 'masks'; its maps are cams, attention"):
        build(map_names=('cams', 'masks'))
    with pytest.raises(ValueError, match="mode must be .* got 'train'"):
        build()(torch.randn(1, 3, 32, 32), mode='train')


def test_the_loss_is_a_part_of_the_config():
    """Any loss of scores and multi-hot labels."""
    @MODELS.register_module(force=True)
    class SquaredLoss(torch.nn.Module):
        def forward(self, logits, image_labels):
            return (logits - image_labels).square().mean()

    model, images = build(loss_cls=dict(type='SquaredLoss')), torch.randn(2, 3, 32, 48)
    losses = model(images, samples(LABELS3), mode='loss')
    torch.testing.assert_close(losses['loss_cls'], (model(images) - LABELS3).square().mean())


def test_prediction_is_the_highest_map_of_the_predicted_classes():
    model = build(test_cfg=dict(threshold=0.4))
    found = model.predict(torch.randn(2, 3, 32, 48), samples(LABELS3, shape=(20, 30)))
    for sample in found:
        maps = sample.cams.data.clone()
        maps[sample.cls_logits <= 0] = 0  # the labels of the samples are not used
        scores, classes = maps.max(dim=0)
        expected = torch.where(scores > 0.4, classes + 1, 0)
        assert torch.equal(sample.pred_sem_seg.data, expected[None])
    assert len({int(value) for sample in found for value in sample.pred_sem_seg.data.unique()}) > 1
