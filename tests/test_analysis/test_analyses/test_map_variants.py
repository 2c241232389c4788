"""Variants of maps: the worked example of couplings, and equality with the maps that the heads of the papers give."""

import pytest
import torch

from mmwsss.analysis.analyses.map_quality import rates_of
from mmwsss.analysis.analyses.map_variants import (
    ClassAttentionOfLastLayers,
    Couplings,
    RefinedByLayers,
    VariantHead,
    couple,
    number_of_layers,
    unrefined_map,
    with_head,
)
from mmwsss.evaluation import ThresholdSweep
from mmwsss.models import AReAMHead, CAMClassifier, extract_features
from mmwsss.utils.errors import UserError

LAYERS = 3
ARCH = dict(embed_dims=16, num_layers=LAYERS, num_heads=2, feedforward_channels=16)
VIT = dict(type='AttentionViT', arch=ARCH, img_size=32, patch_size=8, num_class_tokens=2, raw_output=True)
CONFORMER = dict(type='AttentionConformer',
                 arch=dict(embed_dims=24, depths=LAYERS, num_heads=2, channel_ratio=.25), init_cfg=None)
HEADS = {
    'aream': (VIT, dict(type='AReAMHead', num_classes=2, in_channels=16, num_layers=LAYERS)),
    'mct': (VIT, dict(type='MCTformerHead', num_classes=2, in_channels=16, attention_layers=2, fusion='mean')),
    'weaktr': (VIT, dict(type='WeakTrHead', num_classes=2, in_channels=16, num_layers=LAYERS, num_heads=2)),
    'transcam': (CONFORMER, dict(type='TransCAMHead', num_classes=2, conv_channels=64, token_channels=24)),
}


def build(name):
    torch.manual_seed(0)
    backbone, head = HEADS[name]
    model = CAMClassifier(backbone, head, data_preprocessor=dict(type='SegDataPreProcessor')).eval()
    for parameter in model.parameters():
        parameter.data.add_(torch.randn_like(parameter), alpha=.3)
    return model


@torch.no_grad()
def maps_of(model, head, names, classes=None):
    images = torch.rand(2, 3, 48, 32, generator=torch.Generator().manual_seed(1))
    names, classes = list(names), None if classes is None else torch.tensor(classes)
    return head.maps(extract_features(model.backbone, images, head.request(names, classes)), names, classes)


def test_worked_example_of_couplings():
    affinity = torch.tensor([[.5, .2, .1, .1], [.2, .5, .1, .1], [0, .1, .6, .2], [.1, .3, .1, .4]])
    maps, row = torch.tensor([1, .5, 0, .2]), torch.tensor([.3, .3, .1, .1])
    found = couple(maps.view(1, 1, 2, 2), affinity[None], row.view(1, 1, 2, 2))
    expected = {'TransCAM': (.62, .47, .09, .33), 'AttnAgg': (.62, .51, .17, .23), 'ClsAttn': (.3, .15, 0, .02),
                'plain': (1, .5, 0, .2)}
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name].flatten().tolist() == pytest.approx(values)


def test_worked_example_of_rates():
    """One pass gives every threshold; FP, FN and IoU of a class add up to 1."""
    gt = torch.tensor([[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 255], [0, 0, 2, 2]])
    cams = torch.tensor([[[.1, .2, .1, 0], [.3, .9, .6, .2], [.2, .8, .4, .9], [.1, .1, .1, .1]],
                         [[0, 0, 0, 0], [0, 0, .1, .3], [0, 0, .5, .2], [0, .4, .7, 1]]])
    sweep = ThresholdSweep(3, (.25, .35, .45, .55))
    sweep.update(cams, gt)
    found = rates_of(sweep.result(), (.25, .35, .45, .55))
    curve = found['curve']
    assert curve['mIoU'] == pytest.approx([55.5556, 71.2963, 80.5556, 88.3333], abs=1e-4)
    assert curve['FP'] == pytest.approx([26.6667, 16.6667, 11.1111, 3.3333], abs=1e-4)
    assert curve['FN'] == pytest.approx([17.7778, 12.0370, 8.3333, 8.3333], abs=1e-4)
    assert (curve['precision'][0], curve['recall'][0]) == pytest.approx((71.6667, 80.5556), abs=1e-4)
    assert (found['threshold'], found['precision'], found['recall']) == pytest.approx((.55, 96.6667, 91.6667), abs=1e-4)


@pytest.mark.parametrize('classes', [None, [1]])
def test_layers_are_those_of_aream(classes):
    model = build('aream')
    sets = {f'layer_{k + 1}': (k, ) for k in range(LAYERS)} | {f'first_{k}': range(k) for k in range(1, LAYERS + 1)}
    head = VariantHead(model.cam_head, 'raw_cams', RefinedByLayers({**sets, 'raw_cams': ()}))
    found = maps_of(model, head, head.map_names, classes)
    expected = maps_of(model, model.cam_head, head.map_names, classes)
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name])


@pytest.mark.parametrize('name', ['mct', 'weaktr'])
def test_the_mean_of_layers_refines_any_map(name):
    model = build(name)
    base = unrefined_map(model.cam_head)
    assert base == 'fused_cams'
    head = VariantHead(model.cam_head, base, RefinedByLayers({'mean': range(LAYERS), 'none': ()}))
    found = maps_of(model, head, head.map_names)
    plain = maps_of(model, model.cam_head, ['cams', base])
    torch.testing.assert_close(found['none'], plain[base])
    if name == 'mct':
        torch.testing.assert_close(found['mean'], plain['cams'])


def test_couplings_are_those_of_transcam():
    model = build('transcam')
    head = VariantHead(model.cam_head, unrefined_map(model.cam_head), Couplings())
    found = maps_of(model, head, Couplings.names)
    expected = maps_of(model, model.cam_head, ['conv_cams', 'clsattn_all', 'attnagg_all', 'transcam_all'])
    torch.testing.assert_close(found['plain'], expected['conv_cams'])
    for name in Couplings.names[1:]:
        torch.testing.assert_close(found[name] * LAYERS, expected[f'{name.lower()}_all'])


def test_couplings_with_a_class_token_for_each_class():
    model = build('mct')
    head = VariantHead(model.cam_head, 'patch_cams', Couplings())
    one, both = (maps_of(model, head, ['ClsAttn'], classes)['ClsAttn'] for classes in ([1], None))
    torch.testing.assert_close(one, both[:, 1:])


@pytest.mark.parametrize('count', [1, 2, 3])
def test_last_layers_are_those_of_mctformer(count):
    model = build('mct')
    model.cam_head.attention_layers = count
    expected = maps_of(model, model.cam_head, ['attention'])['attention']
    head = VariantHead(model.cam_head, 'attention', ClassAttentionOfLastLayers(LAYERS))
    torch.testing.assert_close(maps_of(model, head, [f'last_{count}'])[f'last_{count}'], expected)


def test_no_attention_is_kept():
    model = build('mct')
    head = VariantHead(model.cam_head, 'patch_cams', RefinedByLayers({'mean': range(LAYERS)}))
    assert {item.reads for item in head.request(head.map_names).observations} == {'query_key'}


def test_views_are_fused_by_the_model():
    model = build('mct')
    head = VariantHead(model.cam_head, 'fused_cams', RefinedByLayers({'mean': range(LAYERS)}))
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    expected = model.predict_cams(images)['cams']
    with with_head(model, head, head.map_names):
        found = model.predict_cams(images)
    torch.testing.assert_close(found['mean'], expected)
    assert model.map_names == ('cams', )
    assert not isinstance(model.cam_head, VariantHead)
    torch.testing.assert_close(model.predict_cams(images)['cams'], expected)


def test_what_is_refused():
    head = AReAMHead(2, 16, num_layers=LAYERS)
    assert unrefined_map(head) == 'raw_cams'
    with pytest.raises(UserError, match=r"no map 'raw_cam' \(did you mean 'raw_cams'"):
        unrefined_map(head, 'raw_cam')
    model = build('transcam')
    assert number_of_layers(model) == LAYERS
    model.backbone = torch.nn.Conv2d(3, 3, 1)
    with pytest.raises(UserError, match='Conv2d has no attention'):
        number_of_layers(model)
