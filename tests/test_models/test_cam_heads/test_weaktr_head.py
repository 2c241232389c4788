"""WeakTr's worked examples, its versions, and which loss trains what."""

import math
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from mmengine.structures import BaseDataElement

from mmwsss.checkpoints import OFFICIAL_LAYOUTS, map_keys
from mmwsss.models import (
    AttentionViT,
    BaseCAMHead,
    CAMClassifier,
    Observation,
    Request,
    WeakTrHead,
    extract_features,
)
from mmwsss.models.backbones import PatchAttention, PatchScores
from mmwsss.models.cam_heads.attention_fusion import AdaptiveAttentionFusion
from mmwsss.models.segmentors import CAMMixin
from mmwsss.models.utils import cams_to_labels, pool_attention, pool_pseudo_heads, refine_with_affinity, stack_heads
from mmwsss.registry import MODELS

from ...helpers import GivenBackbone, attention_maps, run_head
from ...official_checkpoints import class_token_shapes, filled_weights, wave_image, weaktr_fusion_shapes

HEAD_FFN = ([[1., 0, -1, 2], [0, 1, 1, -1]], [[1., 0], [0, 1], [1, 1], [-1, 2]])
VERSIONS = {
    'V1': dict(pool_source='attention', pool='avg', reduction=2),
    'V1, max': dict(pool_source='attention', pool='max', reduction=2),
    'V2': dict(pool_source='block_out', pool='max', reduction=2, feat_reduction=2),
    'V3': dict(pool_source='attn_out', pool='max', reduction=2, feat_reduction=2),
    'V3, avg': dict(pool_source='attn_out', pool='avg', reduction=2, feat_reduction=2),
    'random': dict(weights='random', reduction=2),
    'mean-sum': dict(weights='mean_sum')}


def close(found: torch.Tensor, expected: list, atol: float = 2e-6) -> None:
    torch.testing.assert_close(found.double().flatten(), torch.tensor(expected).double().flatten(), atol=atol, rtol=0)


def example_fusion(**kwargs) -> AdaptiveAttentionFusion:
    fusion = AdaptiveAttentionFusion(2, 2, 2, reduction=2, **kwargs)
    with torch.no_grad():
        fusion.head_ffn[0].weight.copy_(torch.tensor(HEAD_FFN[0]))
        fusion.head_ffn[2].weight.copy_(torch.tensor(HEAD_FFN[1]))
    return fusion


@pytest.mark.parametrize(('pool', 'expected'), [
    ('avg', [.731059, .622459, .817574, .5]), ('max', [.858149, .622459, .908877, .310026])])
def test_weights_from_attention(pool, expected):
    maps = torch.tensor([[[.9, .1], [.2, .8]], [[.6, .4], [.5, .5]], [[.3, .7], [.7, .3]], [[.2, .8], [.4, .6]]])
    fusion = example_fusion(pool=pool)
    # Channel = head * 2 + layer.
    pooled = stack_heads([pool_attention(maps[None, layer::2], pool) for layer in range(2)])
    close(fusion(pooled), expected)
    assert (fusion.static_weights(2) is not None) == (pool == 'avg')
    if pool == 'avg':
        close(pooled, [.5] * 4)
        close(fusion.static_weights(2), expected)


@pytest.mark.parametrize(('pool', 'expected'), [
    ('max', [.816078, .517493, .826353, .205870]), ('avg', [.667448, .5, .667448, .332552])])
def test_weights_from_tokens(pool, expected):
    features = torch.tensor([[[1, 0], [0, 2], [3, -1]], [[0, 0], [1, 1], [2, -2]], [[-1, -1], [0, .5], [.5, 0]],
                             [[2, 1], [1, .2], [0, .4]]])  # channel, token, feature
    fusion = example_fusion(pool_source='attn_out', pool=pool, feat_reduction=2)
    fusion.feat_ffn[0].load_state_dict(dict(weight=torch.tensor([[1, .5]]), bias=torch.tensor([.1])))
    fusion.feat_ffn[1].load_state_dict(dict(weight=torch.tensor([[.2]]), bias=torch.tensor([-.1])))
    # Tokens of a layer: feature f of pseudo-head h is channel f * 2 + h.
    layers = [features[layer::2].permute(1, 2, 0).flatten(1)[None] for layer in range(2)]
    close(fusion(stack_heads([pool_pseudo_heads(tokens, 2, pool) for tokens in layers])), expected)


def test_order_of_heads():
    layers = [torch.tensor([[10. * layer, 10. * layer + 1]]) for layer in range(2)]
    assert stack_heads(layers).tolist() == [[0, 10, 1, 11]]
    assert pool_pseudo_heads(torch.arange(6.)[None, None], 3, 'max').tolist() == [[[0, 3], [1, 4], [2, 5]]]


MAPS = torch.full((2, 6, 6), 1 / 6)
MAPS[1, :2] = torch.tensor([[0, 0, .4, .3, .2, .1], [0, 0, .1, .2, .3, .4]])
MAPS[1, 2:] = .1
MAPS[1, range(2, 6), range(2, 6)] = .5


@MODELS.register_module()
class WeakTrExampleBackbone(GivenBackbone):
    """One layer of two heads with the example's tokens and attention."""

    def given(self, images):
        patches = torch.tensor([[[[1., -2], [3, 0]], [[0, 2], [-1, 4]]]])
        return patches, torch.tensor([[[1., 3], [-2, 0]]]), [MAPS[None]]


def example_model() -> CAMClassifier:
    model = CAMClassifier(
        dict(type='WeakTrExampleBackbone'),
        dict(type='WeakTrHead', num_classes=2, in_channels=2, num_layers=1, num_heads=2, reduction=1, feat_reduction=1))
    head = model.cam_head
    torch.nn.init.dirac_(head.patch_classifier.weight)
    torch.nn.init.zeros_(head.patch_classifier.bias)
    # Whatever is pooled, of which 1 / 6 arrives: weights (.25, .75).
    logits = torch.tensor([.25, .75]).logit()
    with torch.no_grad():
        head.attention_fusion.head_ffn[0].weight.copy_(torch.eye(2))
        head.attention_fusion.head_ffn[2].weight.copy_(torch.diag(6 * logits))
    return model


def test_scores_maps_and_losses_of_the_worked_example():
    model = example_model()
    image = torch.zeros(1, 3, 32, 32)
    found = model.extract_cams(image)
    close(found['logits'], [2, -1])
    close(found['coarse_logits'], [.5, 1.25])
    close(found['fine_logits'], [.043924, .083854])
    close(found['cams'], [.052361, .026736, .069861, .026736, .051042, .079792, .051042, .153542])
    close(found['coarse_cams'], [1, -2, 3, 0, 0, 2, -1, 4])
    close(found['fused_cams'], [.170833, 0, .2875, 0, 0, .191667, 0, .683333])
    sample = BaseDataElement()
    sample.gt_label = torch.tensor([1., 0.])
    losses = model(image, [sample], mode='loss')
    assert {name: pytest.approx(value.item(), abs=2e-6) for name, value in losses.items()} == dict(
        loss_cls=.220095, loss_coarse=.988003, loss_fine=.703690)
    assert sum(losses.values()).item() == pytest.approx(1.911788, abs=2e-6)


class ExampleMaps(BaseCAMHead):
    """Maps of four views before refinement, and the affinity of each size."""

    def forward(self, features):
        return {'logits': torch.zeros(len(features.maps[-1]), 3)}

    def maps(self, features, names, classes=None):
        found = [self.of_view(image) for image in features.maps[-1]]
        return {'cams': torch.cat(found)}

    def of_view(self, image):
        mirrored = image[0, 0, 0] < image[0, 0, -1]
        if image.shape[-1] == 2:
            maps = torch.tensor([[[1., 2], [3, 0]], [[5, 5], [5, 9]], [[0, 0], [0, 4]]])
            maps = maps.flip(-1) + torch.tensor([0., 1.]) if mirrored else maps
            affinity = torch.eye(4) * .6 + .1
        else:
            maps, affinity = torch.arange(27.).reshape(3, 3, 3) / 3, torch.eye(9)
            maps = maps.flip(-1) / 2 if mirrored else maps
        return refine_with_affinity(maps[None], affinity[None])


class ExampleViews(CAMMixin):
    backbone, cam_head = torch.nn.Identity(), ExampleMaps(3)
    test_cfg = dict(cams=dict(scales=(1.0, 1.5), flip=True, flip_fusion='sum', scale_fusion='sum', normalize='minmax',
                              eps=1e-8))


@pytest.mark.parametrize('own', [True, False])
def test_inference_over_views_of_the_worked_example(own):
    labels, image = torch.tensor([[1., 0., 1.]]), torch.tensor([1., 0]).expand(1, 3, 2, 2)
    views = ExampleViews()
    own_view = views.extract_cams(image) if own else None
    cams = views.predict_cams(image, labels, own_view=own_view)['cams'][0]
    close(cams[0], [0, .290322, 1, .258065])
    assert cams[1].max() == 0
    close(cams[2], [0, .020833, .3125, 1])
    assert cams_to_labels(cams[None], labels, .42).tolist() == [[[0, 0], [1, 3]]]
    assert cams_to_labels(cams[None], labels, .05).tolist() == [[[0, 1], [1, 3]]]


def test_positions_at_other_sizes():
    """A network of zeros hands the position rows through."""
    vit = AttentionViT(arch=dict(embed_dims=1, num_layers=1, num_heads=1, feedforward_channels=1), img_size=64,
                       patch_size=16, pos_embed_grid='scale', raw_output=True)
    for param in vit.parameters():
        torch.nn.init.zeros_(param)
    vit.pos_embed.data.copy_(torch.arange(17.).reshape(1, 17, 1))
    rows, = vit(torch.zeros(1, 3, 80, 48))
    close(rows[0, 0, [0, 4]], [.852124, 2.193833, 3.531689, 13.192764, 14.534478, 15.872328])


@pytest.mark.parametrize(('size', 'version', 'expected'), [
    ((64, 64), 'V1', ([.049553, .039530, -.026527], [-.008888, -.011194, -.022014], [.718337, .502292, .305513])),
    ((64, 64), 'V3', ([.049553, .039530, -.026527], [-.008888, -.011194, -.022014], [.718213, .502229, .305512])),
    ((80, 48), 'V1', ([.041810, .035458, -.018525], [.049827, -.040640, -.102844], [.474287, .143687, .006980])),
    ((80, 48), 'V3', ([.041810, .035458, -.018525], [.049827, -.040640, -.102844], [.474190, .143667, .006981]))])
def test_whole_network_of_the_worked_example(size, version, expected):
    """Weights by the official names and a rule; converted, loaded strictly."""
    shapes = class_token_shapes(3, 24, mlp=48, depth=2, grid=4)
    shapes.update(weaktr_fusion_shapes(version, heads=6, reduction=2, head_dims=8, feat_reduction=2))
    layout = OFFICIAL_LAYOUTS['weaktr' if version == 'V1' else 'weaktr-v3']
    model = tiny_model(arch=dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48), num_classes=3,
                       **VERSIONS[version]).double()
    model.load_state_dict(map_keys(filled_weights(shapes), layout).state_dict)
    image = wave_image(size)
    trained = run_head(model.cam_head, model.backbone, image)
    found = model.extract_cams(image)
    for scores in (trained, found):
        close(scores['logits'], expected[0])
        close(scores['coarse_logits'], expected[1])
        close(1e3 * scores['fine_logits'], expected[2])
    if size == (64, 64):
        product = found['cross_attention'] * found['coarse_cams'].relu()
        close(1e3 * product[0, 1, 0, 0], [.591098 if version == 'V1' else .591076])
        weights = dict(V1=[.499833, .500003, .500168, .500020, .499835, .499956],
                       V3=[.499976, .499678, .499979, .500319, .500066, .499691])
        fusion = model.cam_head.attention_fusion
        if fusion.static:
            close(fusion.static_weights(3 + 16), weights[version])
        else:
            pooled = extract_features(model.backbone, image, Request(observations=(fusion.pooling, )))[fusion.pooling]
            close(fusion(pooled), weights[version])


ARCH = dict(embed_dims=32, num_layers=3, num_heads=2, feedforward_channels=64)


def tiny_model(arch: dict = ARCH, num_classes: int = 4, **head) -> CAMClassifier:
    torch.manual_seed(0)
    model = CAMClassifier(
        dict(type='AttentionViT', arch=arch, img_size=64, patch_size=16, num_class_tokens=num_classes,
             pos_embed_grid='scale', raw_output=True),
        dict(type='WeakTrHead', num_classes=num_classes, in_channels=arch['embed_dims'], num_layers=arch['num_layers'],
             num_heads=arch['num_heads'], **head),
        test_cfg=dict(threshold=.42))
    for param in model.parameters():
        torch.nn.init.normal_(param, std=.2)
    return model


@dataclass(frozen=True)
class KeptBlocks(Observation):
    """What every layer and its attention sublayer give."""

    reads: ClassVar[str] = 'block'

    def init(self, layout):
        return []

    def update(self, state, layer, value):
        return [*state, value]


def plain_fine_cams(model: CAMClassifier, image: torch.Tensor) -> torch.Tensor:
    """Follow the equations with everything stacked."""
    head, count = model.cam_head, model.cam_head.num_classes
    features = extract_features(model.backbone, image, Request(observations=(KeptBlocks(), )))
    outputs = features[KeptBlocks()]
    stack = torch.stack(attention_maps(model.backbone, image), dim=2).flatten(1, 2)  # B, heads * layers, T, T
    fusion = head.attention_fusion
    if fusion.weights == 'mean_sum':
        weights = torch.full((len(image), 6), 3.)
    elif fusion.weights == 'random':
        weights = fusion(fusion.prior).expand(len(image), -1)
    elif fusion.pool_source == 'attention':
        weights = fusion(stack.mean((2, 3)) if fusion.pool == 'avg' else stack.amax((2, 3)))
    else:
        attribute = 'attention' if fusion.pool_source == 'attn_out' else 'tokens'
        source = torch.stack([getattr(output, attribute) for output in outputs], dim=1)
        split = source.unflatten(3, (16, 2)).permute(0, 4, 1, 2, 3).flatten(1, 2)
        weights = fusion(split.mean(2) if fusion.pool == 'avg' else split.amax(2))
    fused = (weights[:, :, None, None] * stack).mean(dim=1)
    coarse = head.patch_classifier(features.maps[-1]).relu()
    product = coarse * fused[:, :count, count:].unflatten(2, coarse.shape[2:])
    refined = fused[:, count:, count:] @ product.flatten(2).transpose(1, 2)
    return refined.transpose(1, 2).unflatten(2, coarse.shape[2:])


@pytest.mark.parametrize('version', VERSIONS)
def test_fused_while_running_equals_stacked(version):
    model = tiny_model(**VERSIONS[version])
    images = torch.randn(2, 3, 64, 80)
    with torch.no_grad():
        expected = plain_fine_cams(model, images)
    found = model.extract_cams(images)
    torch.testing.assert_close(found['cams'], expected)
    torch.testing.assert_close(found['fine_logits'], expected.mean((2, 3)))
    torch.testing.assert_close(run_head(model.cam_head, model.backbone, images)['fine_logits'], expected.mean((2, 3)))
    chosen = run_head(model.cam_head, model.backbone, images, ['cams'], torch.tensor([2, 0]))
    torch.testing.assert_close(chosen['cams'], expected[:, [2, 0]])


@pytest.mark.parametrize('version', VERSIONS)
def test_the_fine_loss_trains_the_fusion_and_the_others_the_rest(version):
    model = tiny_model(**VERSIONS[version]).train()
    if version != 'mean-sum':
        model.cam_head.attention_fusion.head_ffn[0].weight.data.abs_()  # no dead unit
    scores = run_head(model.cam_head, model.backbone, torch.randn(2, 3, 64, 64))
    fusion = {name for name, _ in model.named_parameters() if 'attention_fusion' in name}
    if version == 'mean-sum':
        assert not any(param.requires_grad for param in model.cam_head.attention_fusion.parameters())
        assert not scores['fine_logits'].requires_grad
        return
    scores['fine_logits'].sum().backward(retain_graph=True)
    trained = {name for name, param in model.named_parameters() if param.grad is not None}
    assert trained == fusion
    assert all(param.grad.abs().max() > 0 for name, param in model.named_parameters() if 'head_ffn' in name)
    model.zero_grad()
    (scores['logits'].sum() + scores['coarse_logits'].sum()).backward()
    trained = {name for name, param in model.named_parameters() if param.grad is not None}
    untouched = {name for name, _ in model.named_parameters()} - trained
    assert untouched == fusion | {'backbone.ln1.weight', 'backbone.ln1.bias'}


def test_the_fine_loss_starts_at_ln_2():
    model = tiny_model()
    scores = run_head(model.cam_head, model.backbone, torch.randn(2, 3, 64, 64))
    assert scores['fine_logits'].min() >= 0
    small = {'fine_logits': 0 * scores['fine_logits']}
    assert model.classification_losses(small, torch.eye(4)[:2])['fine'].item() == pytest.approx(math.log(2))


def test_gradient_of_the_fusion_equals_that_of_the_stacked_arrangement():
    model = tiny_model(**VERSIONS['V3']).double()
    images = torch.randn(2, 3, 64, 64, dtype=torch.double)
    parameters = list(model.cam_head.attention_fusion.parameters())
    score = run_head(model.cam_head, model.backbone, images)['fine_logits']
    ours = torch.autograd.grad(score.square().sum(), parameters)
    # Coarse maps carry gradient here, which does not change the fusion's.
    plain = torch.autograd.grad(plain_fine_cams(model, images).mean((2, 3)).square().sum(), parameters)
    for one, other in zip(ours, plain):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(('attention_type', 'same'), [('patchcam', 'coarse_cams'), ('mct', 'cross_attention')])
def test_attention_type_chooses_what_is_refined(attention_type, same):
    model = tiny_model(attention_type=attention_type)
    fused = tiny_model()
    fused.load_state_dict(model.state_dict())
    images = torch.randn(1, 3, 64, 64)
    found, other = model.extract_cams(images), fused.extract_cams(images)
    assert not torch.allclose(found['cams'], other['cams'])
    torch.testing.assert_close(found['fine_logits'], other['fine_logits'])
    maps = found[same].relu()
    whole = refine_with_affinity(maps, torch.ones(1, 16, 16))
    assert torch.corrcoef(torch.stack([found['cams'].flatten(), whole.flatten()]))[0, 1].isfinite()


def test_only_what_is_asked_is_computed():
    model = tiny_model(**VERSIONS['V3'])
    assert model.cam_head.request(['coarse_cams']) == Request()
    found = run_head(model.cam_head, model.backbone, torch.randn(1, 3, 64, 64), ['coarse_cams'])
    assert set(found) == {'logits', 'coarse_logits', 'coarse_cams'}


def test_wrong_settings_are_named():
    with pytest.raises(ValueError, match="pool must be one of .*, got 'sum'"):
        WeakTrHead(2, 8, 2, 2, pool='sum')
    with pytest.raises(ValueError, match="weights must be one of"):
        WeakTrHead(2, 8, 2, 2, weights='learnt')
    with pytest.raises(ValueError, match='reduction must be above 0 and at most 4, got 8'):
        WeakTrHead(2, 8, 2, 2, reduction=8)
    backbone = AttentionViT(arch=dict(embed_dims=8, num_layers=3, num_heads=2, feedforward_channels=8), img_size=32,
                            patch_size=16, num_class_tokens=2)
    for names in ((), ('cams', )):
        with pytest.raises(ValueError, match='3 layers of 2 heads: set num_layers and num_heads'):
            run_head(WeakTrHead(2, 8, 2, 2), backbone, torch.zeros(1, 3, 32, 32), names)
    with pytest.raises(ValueError, match="WeakTrHead has no map 'patch_cams'; its maps are cams, coarse_cams"):
        run_head(WeakTrHead(2, 8, 3, 2), backbone, torch.zeros(1, 3, 32, 32), ['patch_cams'])


def test_checkpoints_of_the_adaptive_fusion_load_where_nothing_is_learnt():
    adaptive, plain = tiny_model(**VERSIONS['V3']), tiny_model(**{**VERSIONS['V3'], 'weights': 'mean_sum'})
    plain.load_state_dict(adaptive.state_dict())
    images = torch.randn(1, 3, 64, 64)
    mean_sum, weighted = plain.extract_cams(images), adaptive.extract_cams(images)
    torch.testing.assert_close(mean_sum['coarse_cams'], weighted['coarse_cams'])
    torch.testing.assert_close(mean_sum['cams'], plain_fine_cams(plain, images).detach())
    assert not torch.allclose(mean_sum['cams'], weighted['cams'])


@pytest.mark.parametrize('version', ['V1', 'V3'])
def test_another_method_may_watch_the_backbone(version):
    model = tiny_model(**VERSIONS[version])
    images = torch.randn(1, 3, 64, 64)
    observations = PatchScores(grad=True), PatchAttention()
    for names in ((), ('fused_cams', )):
        expected = run_head(model.cam_head, model.backbone, images, names)
        found = run_head(model.cam_head, model.backbone, images, names, extra=Request(observations=observations))
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value)


@pytest.mark.parametrize(('reduction', 'hidden'), [(.5, 144), (1, 72), (2, 36), (4, 18), (8, 9)])
def test_widths_of_table_8(reduction, hidden):
    fusion = WeakTrHead(20, 384, reduction=reduction).attention_fusion
    assert [tuple(fusion.head_ffn[i].weight.shape) for i in (0, 2)] == [(hidden, 72), (72, hidden)]
