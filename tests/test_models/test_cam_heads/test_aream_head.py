"""AReAM's maps on a small network, against attention computed from the layers' own projections."""

import pytest
import torch
from torch.nn import functional as F

from mmwsss.models import AReAMHead, AttentionViT, extract_features
from mmwsss.models.utils import global_weighted_rank_pool, refine_with_affinity

from ...helpers import run_head

CLASSES, LAYERS, GRID = 3, 4, (2, 3)


def backbone():
    torch.manual_seed(0)
    model = AttentionViT(
        arch=dict(embed_dims=16, num_layers=LAYERS, num_heads=2, feedforward_channels=16), img_size=32, patch_size=8,
        num_class_tokens=CLASSES, raw_output=True)
    model.init_weights()
    for layer in model.layers:
        torch.nn.init.normal_(layer.attn.qkv.weight, std=.6)
    model.eval()
    return model


def head(**kwargs):
    torch.manual_seed(1)
    return AReAMHead(CLASSES, 16, **kwargs)


@pytest.fixture
def images():
    return torch.randn(2, 3, 16, 24, generator=torch.Generator().manual_seed(2))


def attention_of_all_layers(model, images):
    """Head means (B, T, T) of every layer, from the input of its projection."""
    maps, handles = [], []

    def hook(module, inputs, output):
        q, k, _ = output.unflatten(2, (3, 2, 8)).permute(2, 0, 3, 1, 4)
        maps.append((q @ k.transpose(2, 3) / 8**.5).softmax(-1).mean(1))

    handles = [layer.attn.qkv.register_forward_hook(hook) for layer in model.layers]
    features = extract_features(model, images)
    [handle.remove() for handle in handles]
    return maps, features


@torch.no_grad()
@pytest.mark.parametrize('layers', [None, [0, 1], [2]], ids=['all', 'first two', 'one'])
def test_maps_are_averages(images, layers):
    model, part = backbone(), head(attention_layers=3, affinity_layers=layers)
    found = run_head(part, model, images, part.default_maps)
    assert set(found) == {'logits', 'patch_logits', 'patch_cams', 'raw_cams', 'cams'}
    maps, features = attention_of_all_layers(model, images)
    signed = F.conv2d(features.maps[-1], part.patch_classifier.weight, part.patch_classifier.bias, padding=1)
    attention = torch.stack(maps[-3:]).mean(0)[:, :CLASSES, CLASSES:].unflatten(2, GRID)
    affinity = torch.stack([maps[i] for i in layers or range(LAYERS)]).mean(0)[:, CLASSES:, CLASSES:]
    torch.testing.assert_close(found['logits'], features.class_tokens.mean(2))
    torch.testing.assert_close(found['patch_logits'], signed.mean((2, 3)))
    torch.testing.assert_close(found['patch_cams'], signed.relu())
    torch.testing.assert_close(found['raw_cams'], signed.relu() * attention)
    torch.testing.assert_close(found['cams'], refine_with_affinity(signed.relu() * attention, affinity))


@torch.no_grad()
def test_without_layers_there_is_no_refinement(images):
    found = run_head(head(affinity_layers=()), backbone(), images, ['cams', 'raw_cams'])
    assert torch.equal(found['cams'], found['raw_cams'])


@torch.no_grad()
def test_root_of_the_product(images):
    plain = run_head(head(), backbone(), images, ['raw_cams'])['raw_cams']
    found = run_head(head(fuse_sqrt=True), backbone(), images, ['raw_cams'])['raw_cams']
    torch.testing.assert_close(found, plain.sqrt())


@torch.no_grad()
def test_only_what_is_asked_for(images):
    found = run_head(head(), backbone(), images, ['raw_cams', 'attention'], torch.tensor([2]))
    assert set(found) == {'logits', 'patch_logits', 'raw_cams', 'attention'}
    assert found['raw_cams'].shape == (2, 1, *GRID)
    expected = run_head(head(), backbone(), images, ['raw_cams'])['raw_cams'][:, 2:]
    torch.testing.assert_close(found['raw_cams'], expected)


@torch.no_grad()
def test_maps_by_layer(images):
    part, model = head(num_layers=LAYERS), backbone()
    names = [f'{kind}_{k}' for kind in ('layer', 'first') for k in range(1, LAYERS + 1)]
    assert set(part.map_names) >= set(names)
    found = run_head(part, model, images, names, torch.tensor([0, 2]))
    assert found.keys() == {'logits', 'patch_logits', *names}
    for k in range(1, LAYERS + 1):
        for kind, layers in (('layer', [k - 1]), ('first', range(k))):
            expected = run_head(head(affinity_layers=list(layers)), model, images, ['cams'])['cams']
            torch.testing.assert_close(found[f'{kind}_{k}'], expected[:, [0, 2]])


def test_maps_of_layers_that_do_not_exist(images):
    with pytest.raises(ValueError, match='num_layers is 12, the backbone has 4'):
        run_head(head(), backbone(), images, ['layer_12'])
    with pytest.raises(ValueError, match="AReAMHead has no map 'layer_5'"):
        run_head(head(num_layers=LAYERS), backbone(), images, ['layer_5'])


def test_ranked_pooling():
    maps = torch.tensor([[[[1., 4.], [-2., 3.]]]])
    expected = (4 + 3 * .5 + 1 * .25 - 2 * .125) / 1.875
    torch.testing.assert_close(global_weighted_rank_pool(maps, decay=.5), torch.tensor([[expected]]))
    torch.testing.assert_close(global_weighted_rank_pool(maps, decay=1.), maps.mean((2, 3)))


@torch.no_grad()
def test_ranked_pooling_is_an_option_of_the_head(images):
    part, model = head(patch_pool='gwrp'), backbone()
    signed = part.patch_classifier(extract_features(model, images).maps[-1])
    torch.testing.assert_close(run_head(part, model, images)['patch_logits'], global_weighted_rank_pool(signed))
    with pytest.raises(ValueError, match="patch_pool must be .*'max'"):
        head(patch_pool='max')
