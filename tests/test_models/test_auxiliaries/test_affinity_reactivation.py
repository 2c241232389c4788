"""AReAM's mechanism over MCTformer-V1, -V2, AReAM and ToCo, against a plain arrangement of its steps."""

import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmseg.structures import SegDataSample
from torch.nn import functional as F

from mmwsss.models import CAMClassifier, PixelAdaptiveRefinement, extract_features
from mmwsss.models.auxiliaries import AffinityTargets, Auxiliaries
from mmwsss.models.backbones import PatchScores
from mmwsss.models.backbones.attention import ScoreFactors
from mmwsss.models.utils import (
    reactivated_cams,
    reactivation_weights,
    resize_maps,
    token_affinity_labels,
)
from mmwsss.registry import MODELS

from ...helpers import REPO
from .. import toco_example

CLASSES, LAYERS, HEADS, WIDTH, SIZE, PATCH = 3, 3, 2, 16, 48, 8
GRID = SIZE // PATCH
HEADS_OF = {
    'attention': dict(type='MCTformerHead', patch_classifier=False),
    'fused_cams': dict(type='MCTformerHead'),
    'raw_cams': dict(type='AReAMHead', attention_layers=2)}


def mechanism(map_name='raw_cams', loss=None, **kwargs):
    """Return the configured mechanism, for another map and with other thresholds."""
    cfg = Config.fromfile(REPO / 'configs/_base_/models/reactivation.py').reactivation
    cfg.loss.update(loss or {})
    return {**cfg, **dict(map_name=map_name, low=.3, high=.6), **kwargs}


def mechanism_of(model):
    return model.auxiliary['0']


def build(map_name='raw_cams', drop_path=0., on=True, **kwargs):
    torch.manual_seed(0)
    head = {**dict(num_classes=CLASSES, in_channels=WIDTH, attention_layers=2), **HEADS_OF[map_name]}
    model = CAMClassifier(
        dict(type='AttentionViT', num_class_tokens=CLASSES, img_size=SIZE, patch_size=PATCH, raw_output=True,
             arch=dict(embed_dims=WIDTH, num_layers=LAYERS, num_heads=HEADS, feedforward_channels=WIDTH),
             drop_path_rate=drop_path),
        head, auxiliary=[mechanism(map_name, **kwargs)] if on else None)
    for name, param in model.named_parameters():
        torch.nn.init.normal_(param, mean=1. if 'ln' in name and 'weight' in name else 0., std=.35)
    return model.train()


def batch(labels=((1., 0, 1), (0, 1, 0)), box=(5, SIZE, 0, 40)):
    generator = torch.Generator().manual_seed(3)
    images = F.interpolate(torch.rand(len(labels), 3, 6, 6, generator=generator), size=SIZE, mode='bicubic') * 4 - 2
    samples = []
    for label in labels:
        sample = SegDataSample(metainfo=dict(valid_box=box))
        sample.gt_label = torch.tensor(label)
        samples.append(sample)
    return images, samples


@pytest.fixture(autouse=True)
def _progress():
    hub = MessageHub.get_current_instance()
    before = {key: hub.get_info(key, 0) for key in ('epoch', 'iter')}
    hub.update_info_dict(dict(epoch=0, iter=0))
    yield
    hub.update_info_dict(before)


def products(model, images):
    """Products before softmax (B, heads, T, T) of every layer, from the outputs of the layers' own projections."""
    found, handles = [], []

    def hook(module, inputs, output):
        q, k, _ = output.unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        found.append(q @ k.transpose(2, 3) / q.shape[-1]**.5)

    handles = [layer.attn.qkv.register_forward_hook(hook) for layer in model.backbone.layers]
    extract_features(model.backbone, images)
    [handle.remove() for handle in handles]
    return found


def patches(maps):
    return torch.stack([m.mean(1)[:, CLASSES:, CLASSES:] for m in maps], dim=1)


@torch.no_grad()
def plain_view(model, images, labels):
    """Re-activated maps and weights of one view: every step on its own."""
    logits = products(model, images)
    affinities = patches([m.softmax(-1) for m in logits])
    attention = torch.stack([m.softmax(-1).mean(1)[:, :CLASSES, CLASSES:] for m in logits[-2:]]).mean(0)
    cams = attention.unflatten(2, (GRID, GRID))
    if model.cam_head.patch_classifier is not None:
        cams = cams * model.cam_head.patch_classifier(extract_features(model.backbone, images).maps[-1]).relu()
    cams = cams * labels[:, :, None, None]
    low, high = cams.amin((2, 3), keepdim=True), cams.amax((2, 3), keepdim=True)
    cams = (cams - low) / (high - low + 1e-6)
    weights, counterparts = reactivation_weights(cams, affinities, labels)
    return reactivated_cams(cams, affinities, weights), counterparts


def plain_pseudo_labels(images, cams, labels, boxes):
    """Refine at half size, for each image and either background score on its own: 255 where they disagree."""
    refine, size = PixelAdaptiveRefinement(), (SIZE // 2, SIZE // 2)
    found = torch.full((len(images), SIZE, SIZE), 255)
    for i, (y0, y1, x0, x1) in enumerate(boxes.tolist()):
        present = labels[i].nonzero().flatten()
        small = resize_maps(cams[i:i + 1, present], size)
        picture = resize_maps(images[i:i + 1], size)
        winners = []
        for score in (.6, .3):
            planes = torch.cat([torch.full_like(small[:, :1], score), small], dim=1).softmax(dim=1)
            winner = resize_maps(refine(picture, planes), (SIZE, SIZE)).argmax(dim=1)[0]
            winners.append(torch.cat([torch.tensor([0]), present + 1])[winner])
        merged = winners[0].where(winners[0] > 0, winners[1].where(winners[1] == 0, torch.tensor(255)))
        found[i, y0:y1, x0:x1] = merged[y0:y1, x0:x1]
    return found


def plain_loss(model, images, samples):
    """The affinity loss of an iteration, every pass on its own; all of L_aff with lambda 1."""
    labels = torch.stack([sample.gt_label for sample in samples])
    model.eval()
    maps, counterparts = plain_view(model, images, labels)
    mirrored, _ = plain_view(model, images.flip(-1), labels)
    model.train()
    fused = resize_maps(maps, (SIZE, SIZE)) + resize_maps(mirrored, (SIZE, SIZE)).flip(-1)
    low, high = fused.amin((2, 3), keepdim=True), fused.amax((2, 3), keepdim=True)
    boxes = torch.tensor([sample.metainfo['valid_box'] for sample in samples])
    pseudo = plain_pseudo_labels(images, (fused - low) / (high - low + 1e-6), labels, boxes)
    tokens = F.interpolate(pseudo[:, None].float(), size=(GRID, GRID), mode='nearest')[:, 0].long()
    pairs = token_affinity_labels(tokens, include_diagonal=True)
    scores = patches(products(model, images)).sigmoid()
    total = 0.
    for b, layer in torch.cartesian_prod(torch.arange(len(images)), torch.arange(LAYERS)).tolist():
        same, other = pairs[b] == 1, pairs[b] == 0
        cost = (1 - scores[b, layer])[same].sum() / (same.sum() + 1) + scores[b, layer][other].sum() / (other.sum() + 1)
        total = total + counterparts[b, layer] * cost / len(images)
    return total, tokens, counterparts


@pytest.mark.parametrize('map_name', HEADS_OF)
def test_one_iteration_equals_the_plain_arrangement(map_name):
    model = build(map_name, weight=.2)
    twin = copy.deepcopy(model)
    images, samples = batch()
    losses = model.loss(images, samples)
    expected, tokens, counterparts = plain_loss(twin, images, samples)
    assert set(tokens.unique().tolist()) >= {0, 255}, 'the example has certain and ignored tokens'
    torch.testing.assert_close(losses['loss_affinity'], .2 * expected, rtol=1e-4, atol=1e-6)
    losses['loss_affinity'].backward()
    (.2 * expected).backward()
    for (name, param), other in zip(model.named_parameters(), twin.named_parameters()):
        if other[1].grad is None:
            assert param.grad is None or not param.grad.any(), name
        else:
            torch.testing.assert_close(param.grad, other[1].grad, rtol=1e-3, atol=1e-6, msg=name)
    pairs = token_affinity_labels(tokens, include_diagonal=True)
    for i in range(LAYERS):
        torch.testing.assert_close(losses[f'counterpart_{i + 1}'], counterparts[:, i].mean(), rtol=1e-3, atol=1e-4)
    assert losses['positive_pairs'] == (pairs == 1).sum() / 2
    assert losses['negative_pairs'] == (pairs == 0).sum() / 2
    torch.testing.assert_close(losses['ignored_share'], (tokens == 255).float().mean())


@pytest.mark.parametrize('map_name', HEADS_OF)
def test_classification_is_what_it_was(map_name):
    images, samples = batch()
    expected = build(map_name, on=False).loss(images, samples)
    found = build(map_name).loss(images, samples)
    assert set(found) - set(expected) == {
        'loss_affinity', 'positive_pairs', 'negative_pairs', 'ignored_share',
        *(f'counterpart_{i}' for i in (1, 2, 3))}
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)


def test_it_adds_nothing_to_a_checkpoint():
    assert build(on=False).state_dict().keys() == build().state_dict().keys()


@pytest.mark.parametrize(('key', 'by_epoch'), [('epoch', True), ('iter', False)])
def test_beginning(key, by_epoch):
    model = build(begin=4, by_epoch=by_epoch)
    passes = []
    model.backbone.patch_embed.register_forward_hook(lambda module, args, out: passes.append(len(args[0])))
    for progress, count in ((3, 1), (4, 3)):
        MessageHub.get_current_instance().update_info(key, progress)
        assert ('loss_affinity' in model.loss(*batch())) == (progress == 4)
        assert len(passes) == count, 'one pass; then one more for the image and one for its mirror image'
        passes.clear()


@pytest.mark.parametrize('map_name', ['aux_cams', 'cams'])
def test_over_toco(map_name):
    """ToCo's own terms stay; affinity is supervised by the map named."""
    model = toco_example.build()
    views, samples = toco_example.batch()
    toco_example.at_iteration(10)
    expected = copy.deepcopy(model).loss(views, samples)
    model.auxiliary = Auxiliaries([mechanism(map_name, by_epoch=False)])
    found = model.loss(views, samples)
    assert found.keys() >= {*expected, 'loss_affinity', 'counterpart_4'}
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)
    assert found['loss_affinity'] > 0
    found['loss_affinity'].backward()
    assert model.backbone.layers[0].attn.qkv.weight.grad.abs().max() > 0
    assert model.cam_head.aux_classifier.weight.grad is None, 'no gradient through the map'


def test_gradient_enters_through_scores_alone():
    """Supervising only layer 2 leaves the projections of layer 3 alone, and all heads."""
    model = build()
    images, _ = batch()
    features = extract_features(model.backbone, images, mechanism_of(model).request(model))
    counterparts = torch.tensor([[0., 1, 0]]).expand(2, -1)
    tokens = torch.randint(0, 3, (2, GRID, GRID), generator=torch.Generator().manual_seed(0))
    targets = AffinityTargets(tokens, counterparts)
    mechanism_of(model).supervise(features[PatchScores(grad=True)], targets)['loss_affinity'].backward()
    gradients = [layer.attn.qkv.weight.grad for layer in model.backbone.layers]
    assert gradients[0].abs().max() > 0
    assert gradients[1][:2 * WIDTH].abs().max() > 0
    assert not gradients[1][2 * WIDTH:].any(), 'values of layer 2 come after its scores'
    assert gradients[2] is None or not gradients[2].any()
    assert model.cam_head.patch_classifier.weight.grad is None


@pytest.mark.parametrize('labels', [((0., 0, 0), (0, 0, 0)), ((0., 0, 0), (1, 0, 0))], ids=['no class', 'one without'])
@pytest.mark.parametrize('label_cfg', [{}, dict(label_cfg=dict(
    steps=[dict(type='Downscale'), dict(type='PixelAdaptiveRefinement', keep_scale=True)],
    labeler=dict(type='ThresholdLabels')))], ids=['two levels', 'thresholds'])
def test_images_without_a_class(labels, label_cfg):
    model = build(**label_cfg)
    losses = model.loss(*batch(labels))
    sum(value for name, value in losses.items() if name.startswith('loss')).backward()
    assert all(torch.isfinite(value).all() for value in losses.values())
    assert all(torch.isfinite(param.grad).all() for param in model.parameters() if param.grad is not None)
    if labels[1] == (0, 0, 0):
        assert losses['loss_affinity'] == 0
        assert all(losses[f'counterpart_{i}'] == 0 for i in (1, 2, 3))


def test_everything_ignored():
    model = build()
    losses = model.loss(*batch(box=(0, 0, 0, 0)))
    assert losses['ignored_share'] == 1
    assert losses['loss_affinity'] == 0
    losses['loss_affinity'].backward()
    assert not any(param.grad.any() for param in model.parameters() if param.grad is not None)


def test_equal_layers():
    """Layers with the same attention: all refine, none is supervised."""
    model = build()
    for layer in model.backbone.layers:
        torch.nn.init.zeros_(layer.attn.qkv.weight)
        torch.nn.init.zeros_(layer.attn.qkv.bias)
    losses = model.loss(*batch())
    losses['loss_affinity'].backward()
    assert losses['loss_affinity'] == 0
    assert all(torch.isfinite(param.grad).all() for param in model.parameters() if param.grad is not None)


def test_class_map_passes_evaluate_and_training_goes_on():
    model = build(drop_path=.5)
    model.backbone.layers[1].eval()
    modes = []
    model.backbone.layers[2].register_forward_pre_hook(
        lambda module, args: modes.append((module.training, torch.is_grad_enabled())))
    record = model.backbone.patch_embed.register_forward_hook(
        lambda module, args, out: modes.append((model.backbone.layers[2].training, torch.is_grad_enabled())))
    model.loss(*batch())
    assert modes == [(False, False)] * 2 + [(True, True)]
    assert [layer.training for layer in model.backbone.layers] == [True, False, True]
    record.remove()
    modes.clear()
    model = build(cam_pass='train')
    model.backbone.patch_embed.register_forward_hook(
        lambda module, args, out: modes.append((module.training, len(args[0]))))
    model.loss(*batch())
    assert modes == [(True, 4), (True, 2)], 'the image and its mirror image share a pass, and so do statistics of both'


def test_reusing_the_training_pass():
    model = build(cam_pass='reuse')
    passes = []
    model.backbone.patch_embed.register_forward_hook(lambda module, args, out: passes.append(len(args[0])))
    images, samples = batch()
    losses = model.loss(images, samples)
    assert passes == [2]
    labels = torch.stack([sample.gt_label for sample in samples])
    _, counterparts = plain_view(model, images, labels)
    for i in range(LAYERS):
        torch.testing.assert_close(losses[f'counterpart_{i + 1}'], counterparts[:, i].mean(), rtol=1e-3, atol=1e-4)
    losses['loss_affinity'].backward()
    assert model.cam_head.patch_classifier.weight.grad is None
    assert model.backbone.layers[0].attn.qkv.weight.grad.abs().max() > 0


def test_layer_split_and_fixed_weights():
    """Version 1: the first layers refine, the others are supervised, with weights from elsewhere."""
    loss = dict(pair_weight=.5, layer_reduction='mean', scope='batch')
    model = build(layer_split=1, entropy_mode='offline', counterparts=(.2, .5, .8), loss=loss)
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(2, 2, GRID, GRID, generator=generator)
    affinities = torch.rand(2, LAYERS, GRID**2, GRID**2, generator=generator)
    labels = torch.ones(2, 2)
    refined, counterparts = mechanism_of(model).reactivate(maps, affinities, labels)
    torch.testing.assert_close(counterparts, torch.tensor([[.2, .5, .8]]).expand(2, -1))
    low, high = maps.amin((2, 3), keepdim=True), maps.amax((2, 3), keepdim=True)
    cams = (maps - low) / (high - low + 1e-6)
    torch.testing.assert_close(refined, .8 * (affinities[:, 0] @ cams.flatten(2).mT).mT.unflatten(2, (GRID, GRID)))
    factors = [ScoreFactors(*torch.randn(2, 2, GRID**2, 4, generator=generator), .5) for _ in range(LAYERS)]
    scores = torch.stack([layer.product() for layer in factors], dim=1)
    targets = AffinityTargets(torch.randint(0, 3, (2, GRID, GRID), generator=generator), counterparts)
    pairs = token_affinity_labels(targets.labels, include_diagonal=True)
    expected = mechanism_of(model).loss(scores[:, 1:], pairs, counterparts[:, 1:])
    torch.testing.assert_close(mechanism_of(model).supervise(factors, targets)['loss_affinity'], .2 * expected)
    mechanism_of(model).entropy_mode = 'uniform'
    assert torch.equal(mechanism_of(model).reactivate(maps, affinities, labels)[1], torch.ones(2, LAYERS))


def test_views_of_several_scales():
    model = build(scales=(1.0, 0.5))
    sizes = []
    model.backbone.patch_embed.register_forward_hook(lambda module, args, out: sizes.append(args[0].shape[-1]))
    losses = model.loss(*batch())
    assert sizes == [SIZE, SIZE, SIZE // 2, SIZE // 2, SIZE]
    assert torch.isfinite(losses['loss_affinity'])


def test_gradients_under_autocast():
    """Weights cast in the passes without gradient are not reused in the one with."""
    model = build()
    with torch.autocast('cpu', torch.bfloat16):
        losses = model.loss(*batch())
    assert losses['loss_affinity'].dtype == torch.float32
    sum(value for name, value in losses.items() if name.startswith('loss')).backward()
    # The last layer's feed-forward serves the classification of its own pass only.
    assert model.backbone.layers[2].ffn.layers[1].weight.grad.abs().max() > 0
    assert model.backbone.layers[0].attn.qkv.weight.grad.abs().max() > 0


@pytest.mark.parametrize(('kwargs', 'message'), [
    (dict(cam_pass='test'), "cam_pass must be .*'test'"),
    (dict(weight_scope='epoch'), "weight_scope must be .*'epoch'"),
    (dict(entropy_mode='offline'), 'belong together'),
    (dict(counterparts=(1., 0, 0)), 'belong together'),
    (dict(scales=(.5, 1.5)), 'scales must hold 1'),
    (dict(low=.8, high=.6), 'not (be )?below low')])
def test_wrong_settings_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build(mechanism(**kwargs))


def test_fixed_weights_of_another_depth():
    model = build(entropy_mode='offline', counterparts=(1., 0))
    with pytest.raises(ValueError, match='2 entries, the backbone has 3 layers'):
        model.loss(*batch())


@pytest.mark.parametrize('cam_pass', ['eval', 'reuse'])
def test_trace(cam_pass):
    model, (images, samples) = build(cam_pass=cam_pass, scales=(1., )), batch()
    part = mechanism_of(model)
    losses = model.loss(images, samples)
    assert part.trace is None or not part.trace
    part.tracing = True
    model.loss(images, samples)
    trace = part.trace
    assert [len(trace[key]) for key in ('entropies', 'weights', 'counterparts', 'losses')] == [LAYERS] * 4
    assert trace['counterparts'] == pytest.approx([float(losses[f'counterpart_{i + 1}']) for i in range(LAYERS)])
    assert trace['weights'] == pytest.approx([1 - value for value in trace['counterparts']])
    assert trace['positive_pairs'] == float(losses['positive_pairs'])
    assert all(value < 0 for value in trace['entropies'])
