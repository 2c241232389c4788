"""TransCAM's worked examples: refinements on given attention, and a whole tiny network from the authors' names."""

import math

import pytest
import torch
from mmseg.structures import SegDataSample

from mmwsss.checkpoints import OFFICIAL_LAYOUTS, find_weights, map_keys
from mmwsss.models import AttentionConformer, CAMClassifier, TransCAMHead
from mmwsss.registry import MODELS

from ...helpers import GivenBackbone, run_head
from ...official_checkpoints import conformer_shapes

ATTENTION = torch.tensor([
    [[[.2] * 5] * 5,
     [[0, .4, .3, .2, .1], [.2, .5, .1, .1, .1], [.1, .3, .4, .1, .1], [0, .1, .2, .6, .1], [.2, .1, .1, .2, .4]]],
    [torch.eye(5).tolist(),
     [[.1, .1, .2, .2, .4], [.1, .1, .2, .2, .4], [.3, .3, .2, .1, .1], [.3, .3, .2, .1, .1], [0, 0, 1, 0, 0]]]])
"""(blocks, heads, tokens, tokens)."""

REFINED = dict(
    transcam=((1.15, -.8, 2.55, -.55), (1.45, 3.8, .65, 4.0)),
    attnagg=((1.0, -.65, 2.7, .55), (1.6, 4.6, .25, 2.2)),
    clsattn=((.35, -.7, .9, 0), (0, 1.4, -.3, .7)),
    convcam=((1, -2, 3, 0), (0, 4, -1, 2)))


@MODELS.register_module()
class TwoBlocks(GivenBackbone):
    """Stands in for the Conformer: the example's maps, scores and attention."""

    def given(self, images):
        features = torch.zeros(len(images), 21, 2, 2)
        features[:, 1] = torch.tensor([[1, -2], [3, 0.]])
        features[:, 5] = torch.tensor([[0, 4], [-1, 2.]])
        features[:, 0] = 100
        token = torch.zeros(len(images), 1, 21)
        token[:, 0, 1] = 0.25
        token[:, 0, 0] = -100
        return features, token, [maps.expand(len(images), -1, -1, -1) for maps in ATTENTION]


def example_model(num_classes=20, **head):
    """A model whose classifiers pass their input on; class c of the example is channel c - 1."""
    model = CAMClassifier(dict(type='TwoBlocks'), dict(
        type='TransCAMHead', num_classes=num_classes, conv_channels=21, token_channels=21, **head))
    torch.nn.init.dirac_(model.cam_head.conv_cls_head.weight)
    torch.nn.init.eye_(model.cam_head.trans_cls_head.weight)
    for part in (model.cam_head.conv_cls_head, model.cam_head.trans_cls_head):
        torch.nn.init.zeros_(part.bias)
    return model.eval()


@pytest.mark.parametrize('refinement', REFINED)
def test_refinements(refinement):
    model = example_model(refinement=refinement)
    found = model.extract_cams(torch.zeros(1, 3, 32, 32))
    assert model.backbone.asked == ([] if refinement == 'convcam' else [0, 1])
    assert found['cams'].shape == (1, 20, 2, 2)
    for name, expected in (('cams', REFINED[refinement]), ('conv_cams', REFINED['convcam'])):
        torch.testing.assert_close(found[name][0, [0, 4]].flatten(1), torch.tensor(expected).float())
        assert not found[name][0, 1:4].any()
    some = run_head(model.cam_head, model.backbone, torch.zeros(1, 3, 32, 32), ['cams'], torch.tensor([4, 0]))
    torch.testing.assert_close(some['cams'], found['cams'][:, [4, 0]])


@pytest.mark.parametrize(('blocks', 'layers'), [('all', [0, 1]), ('shallow', [0]), ('deep', [1]), ([2], [1])])
@pytest.mark.parametrize('refinement', ['transcam', 'clsattn'])
def test_blocks(blocks, layers, refinement):
    model = example_model(refinement=refinement, blocks=blocks)
    cams = model.extract_cams(torch.zeros(1, 3, 32, 32))['cams'][0, 0]
    total = ATTENTION[layers].mean(dim=1).sum(dim=0)
    maps = torch.tensor([1, -2, 3, 0.])
    expected = total[1:, 1:] @ maps if refinement == 'transcam' else total[0, 1:] * maps
    torch.testing.assert_close(cams.flatten(), expected)
    assert model.backbone.asked == layers


def test_maps_of_the_tables_in_one_pass():
    """Each equals what a head configured for it alone gives."""
    image = torch.zeros(1, 3, 32, 32)
    model = example_model()
    found = run_head(model.cam_head, model.backbone, image, model.cam_head.map_names)
    assert model.backbone.asked == [0, 1]
    assert len(model.cam_head.map_names) == 11
    for name in model.cam_head.map_names[2:]:
        way, blocks = name.split('_')
        alone = example_model(refinement=way, blocks=blocks).extract_cams(image)
        torch.testing.assert_close(found[name], alone['cams'])
    torch.testing.assert_close(found['cams'], found['transcam_all'])
    run_head(model.cam_head, model.backbone, image, ['attnagg_deep'])
    assert model.backbone.asked == [1]
    with pytest.raises(ValueError, match="TransCAMHead has no map 'transcam'; its maps are cams, conv_cams, transcam_"):
        run_head(model.cam_head, model.backbone, image, ['transcam'])


def test_scores_and_loss():
    sample = SegDataSample()
    sample.gt_label = torch.nn.functional.one_hot(torch.tensor(0), 20).float()
    model = example_model()
    image = torch.zeros(1, 3, 32, 32)
    found = model.extract_cams(image)
    expected = torch.zeros(3, 20)
    expected[0, [0, 4]] = torch.tensor([.5, 1.25])
    expected[1, 0] = .25
    expected[2] = expected[:2].sum(0)
    for name, row in zip(('conv_logits', 'trans_logits', 'logits'), expected):
        torch.testing.assert_close(found[name], row[None])
    torch.testing.assert_close(model(image), found['logits'])
    assert list(model.loss(image, [sample])) == ['loss_cls']
    assert model.loss(image, [sample])['loss_cls'].item() == pytest.approx(.718272, abs=1e-6)
    halved = example_model(branch_weights=(0.5, 0.5))
    assert halved.loss(image, [sample])['loss_cls'].item() == pytest.approx(.702674, abs=1e-6)
    assert model.backbone.asked == [], 'training needs no attention'


def test_background_channel_is_not_trained():
    model = example_model()
    sample = SegDataSample()
    sample.gt_label = torch.ones(20)
    model.loss(torch.zeros(1, 3, 32, 32), [sample])['loss_cls'].backward()
    for part in (model.cam_head.conv_cls_head, model.cam_head.trans_cls_head):
        for param in part.parameters():
            assert not param.grad[0].any()
            assert param.grad[1:].any()


@pytest.mark.parametrize(('kwargs', 'message'), [
    (dict(refinement='cam'), "refinement must be one of .*'cam'"),
    (dict(blocks='middle'), "blocks must be one of .*'middle'"),
    (dict(blocks=[]), r'blocks must be one of .*\[\]'),
    (dict(blocks=[0, 1]), r'blocks are numbered from 1, got \[0, 1\]'),
])
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        TransCAMHead(num_classes=2, conv_channels=8, token_channels=8, **kwargs)


def test_block_beyond_the_backbone():
    with pytest.raises(IndexError, match='layer 2 does not exist: the backbone has 2 layers'):
        example_model(blocks=[1, 3]).extract_cams(torch.zeros(1, 3, 32, 32))


def official_weights():
    """The tiny network of the worked example: every entry a formula of its name."""
    weights = {}
    for name, shape in conformer_shapes(width=24, channels=(16, 32, 64)).items():
        phase = sum(map(ord, name)) % 97
        u = (torch.arange(math.prod(shape), dtype=torch.double) * 0.5 + phase).sin().reshape(shape)
        if name.endswith('num_batches_tracked'):
            weights[name] = torch.tensor(0)
        elif name.endswith('running_var') or (name.endswith('.weight') and u.ndim == 1):
            weights[name] = 1 + (0.2 if name.endswith('running_var') else 0.1) * u
        elif u.ndim == 4:
            weights[name] = 0.9 * u / math.prod(shape[1:])**0.5
        else:
            weights[name] = (0.1 if u.ndim > 1 else 0.05) * u
    return weights


ARCH = dict(embed_dims=24, depths=12, num_heads=2, channel_ratio=0.25)
NETWORK = {
    32: dict(
        conv_logits=(-.061171, -.070902), trans_logits=(1.564443, 1.391262),
        convcam=(-.030481, -.047875, -.079805, -.086523), transcam=(-.593806, -.589176, -.613559, -.600473),
        clsattn=(-.012428, -.018756, -.049154, -.042538), attnagg=(-.638201, -.633862, -.560912, -.608666)),
    64: dict(
        conv_logits=(-.191047, -.449091), trans_logits=(1.464123, 1.412219),
        convcam=(.402926, .592245, .509648, .196239), transcam=(-2.083532, -2.084029, -2.080644, -2.076847),
        clsattn=(.204254, .288267, .265529, .101302), attnagg=(-2.103830, -2.074807, -2.095612, -2.101677)),
}


def official_model(refinement):
    layout = OFFICIAL_LAYOUTS['transcam']
    model = CAMClassifier(
        dict(type='AttentionConformer', arch=ARCH),
        dict(type='TransCAMHead', num_classes=20, conv_channels=64, token_channels=24, refinement=refinement))
    assert sum(param.numel() for param in model.parameters()) == 195_486
    model.double().load_state_dict(map_keys(find_weights(official_weights(), layout), layout).state_dict)
    return model.eval()


@pytest.mark.parametrize('size', NETWORK)
@pytest.mark.parametrize('refinement', REFINED)
def test_whole_network(refinement, size):
    j = torch.arange(3 * size * size, dtype=torch.double)
    image = ((0.01 * j).sin() + 0.5 * (0.037 * j).cos()).reshape(1, 3, size, size)
    found = official_model(refinement).extract_cams(image)
    expected = NETWORK[size]
    for name in ('conv_logits', 'trans_logits'):
        assert found[name][0, :2].tolist() == pytest.approx(expected[name], abs=1e-6)
    torch.testing.assert_close(found['logits'], found['conv_logits'] + found['trans_logits'])
    assert found['cams'][0, 0].flatten()[:4].tolist() == pytest.approx(expected[refinement], abs=1e-6)
    assert found['conv_cams'][0, 0].flatten()[:4].tolist() == pytest.approx(expected['convcam'], abs=1e-6)


def test_input_sizes_are_free():
    model = official_model('transcam').float()
    for height, width in ((64, 32), (48, 80), (70, 50)):
        found = model.extract_cams(torch.randn(2, 3, height, width))
        assert found['cams'].shape == (2, 20, -(-height // 16), -(-width // 16))
        assert found['cams'].isfinite().all()


def test_parameter_count_of_the_small_size():
    model = CAMClassifier(dict(type='AttentionConformer', arch='small'), dict(
        type='TransCAMHead', num_classes=20, conv_channels=1024, token_channels=384))
    assert sum(param.numel() for param in model.parameters()) == 36_465_066


def test_initialization():
    torch.manual_seed(0)
    head = TransCAMHead(num_classes=20, conv_channels=64, token_channels=384)
    head.init_weights()
    assert head.trans_cls_head.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert not head.trans_cls_head.bias.any()
    # Kaiming, fan-out: 21 * 9 outputs a weight.
    assert head.conv_cls_head.weight.std().item() == pytest.approx((2 / (21 * 9))**0.5, rel=0.05)
    assert head.conv_cls_head.bias.any()


def test_imagenet_start(tmp_path):
    layout = OFFICIAL_LAYOUTS['conformer-imagenet']
    shapes = conformer_shapes(1000, width=24, channels=(16, 32, 64), conv_head=())
    weights = official_weights()
    state = {name: weights[name] if 'head' not in name else torch.zeros(shape) for name, shape in shapes.items()}
    mapped = map_keys(find_weights({'model': state}, layout), layout).state_dict
    assert len(mapped) == 714
    torch.save(dict(state_dict={**mapped, 'head.conv_cls_head.weight': torch.zeros(1000, 64)}), tmp_path / 'start.pth')
    backbone = AttentionConformer(arch=ARCH, init_cfg=dict(
        type='Pretrained', checkpoint=str(tmp_path / 'start.pth'), prefix='backbone.'))
    backbone.init_weights()
    for name, value in backbone.state_dict().items():
        torch.testing.assert_close(value, mapped[f'backbone.{name}'].to(value))
