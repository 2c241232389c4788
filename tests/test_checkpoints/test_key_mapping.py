"""Renaming weights by rules, and the layouts of published checkpoints."""

import pytest
import torch

from mmwsss.checkpoints import OFFICIAL_LAYOUTS, KeyLayout, KeyRule, find_weights, map_keys
from mmwsss.checkpoints.key_mapping import missing_blocks

from ..official_checkpoints import conformer_shapes, dupl_shapes, toco_shapes, vit_shapes

LAYOUT = KeyLayout('Test', (
    KeyRule(r'a\.(\d+)\.w', r'b.\1.weight'),
    KeyRule(r'a\.extra', None, required=False),
    KeyRule(r'old\.(\w+)', None),
))
ZERO = torch.zeros(1)


def weights(*names):
    return {name: torch.full((1, ), float(i)) for i, name in enumerate(names)}


def test_names_change_and_values_stay():
    state = weights('a.0.w', 'a.11.w', 'old.head')
    mapped = map_keys(state, LAYOUT)
    assert {name: value.item() for name, value in mapped.state_dict.items()} == {'b.0.weight': 0, 'b.11.weight': 1}
    assert list(mapped.sources.values()) == [['a.0.w', 'a.11.w'], [], ['old.head']]


def test_left_over_and_missing_names_are_one_error():
    with pytest.raises(ValueError, match=r'not a checkpoint of Test') as caught:
        map_keys(weights('a.x.w', 'a.extra', *(f'b.{i}' for i in range(9))), LAYOUT)
    text = str(caught.value)
    assert "10 weights have no place: 'a.x.w', 'b.0', 'b.1', 'b.2', 'b.3' and 5 more" in text
    assert r"it lacks 'a.(d+).w', 'old.(w+)'" in text


def test_rules_match_whole_names_only():
    with pytest.raises(ValueError, match="2 weights have no place: 'xa.0.w', 'a.0.w.x'"):
        map_keys(weights('a.0.w', 'old.a', 'xa.0.w', 'a.0.w.x'), LAYOUT)


def test_two_weights_of_one_name():
    layout = KeyLayout('Test', (KeyRule(r'\d+\.w', 'w'), ))
    with pytest.raises(ValueError, match='two weights of the Test checkpoint become w, one is 1.w'):
        map_keys(weights('0.w', '1.w'), layout)


@pytest.mark.parametrize('checkpoint', [
    {'module.a': ZERO},
    {'a': ZERO},
    {'model': {'a': ZERO}, 'epoch': 3},
    {'state_dict': {'module.a': ZERO}, 'optimizer': {}},
])
def test_weights_are_found(checkpoint):
    assert list(find_weights(checkpoint, LAYOUT)) == ['a']


@pytest.mark.parametrize(('checkpoint', 'message'), [
    ({}, 'it holds no weights; .* under \'model\', \'state_dict\''),
    ({'a': ZERO, 'epoch': 3}, "'epoch' are no tensors"),
    ({'model': {'a': [1]}}, "'a' are no tensors"),
])
def test_what_is_no_checkpoint(checkpoint, message):
    with pytest.raises(ValueError, match=f'not a checkpoint of Test: {message}'):
        find_weights(checkpoint, LAYOUT)


def meta_weights(shapes):
    return {name: torch.empty(shape, device='meta') for name, shape in shapes.items()}


def test_table_of_the_published_toco_checkpoint():
    """The published file has 173 tensors with 105,625,320 elements, the ImageNet head included."""
    state = meta_weights(toco_shapes())
    assert len(state) == 173
    assert sum(value.numel() for value in state.values()) == 105_625_320
    mapped = map_keys(find_weights(state, OFFICIAL_LAYOUTS['toco']), OFFICIAL_LAYOUTS['toco'])
    assert len(mapped.state_dict) == 171
    dropped = [keys for rule, keys in mapped.sources.items() if rule.target is None]
    assert dropped == [['encoder.head.weight', 'encoder.head.bias'], []]
    for name, shape in {
            'backbone.layers.11.attn.qkv.weight': (2304, 768), 'backbone.layers.0.ffn.layers.0.0.weight': (3072, 768),
            'backbone.layers.3.ffn.layers.1.bias': (768, ), 'backbone.ln1.weight': (768, ),
            'backbone.layers.5.ln2.bias': (768, ), 'backbone.patch_embed.projection.weight': (768, 3, 16, 16),
            'projector.weight_v': (1024, 256), 'teacher_projector.weight_g': (1024, 1),
            'decode_head.conv_seg.weight': (21, 512, 1, 1), 'cam_head.aux_classifier.weight': (20, 768, 1, 1)}.items():
        assert mapped.state_dict[name].shape == shape


def test_table_of_the_published_dupl_checkpoint():
    """Both students have the names of ToCo's encoder, decoder and classifiers; the ImageNet heads are dropped."""
    state = meta_weights(dupl_shapes())
    mapped = map_keys(find_weights(state, OFFICIAL_LAYOUTS['dupl']), OFFICIAL_LAYOUTS['dupl'])
    assert len(mapped.state_dict) == len(state) - 4 == 2 * 155
    dropped = [keys for rule, keys in mapped.sources.items() if rule.target is None]
    assert dropped == [[f'branch{i}.encoder.head.weight', f'branch{i}.encoder.head.bias'] for i in (1, 2)]
    for name, shape in {
            'backbone.layers.11.attn.qkv.weight': (2304, 768), 'decode_head.conv_seg.weight': (21, 512, 1, 1),
            'cam_head.aux_classifier.weight': (20, 768, 1, 1)}.items():
        assert mapped.state_dict[name].shape == mapped.state_dict[f'second.{name}'].shape == shape
    one = {name: value for name, value in state.items() if 'branch2' not in name}
    with pytest.raises(ValueError, match='not a checkpoint of DuPL'):
        map_keys(find_weights(one, OFFICIAL_LAYOUTS['dupl']), OFFICIAL_LAYOUTS['dupl'])


def test_new_weight_norm_names_and_stray_weights():
    layout = OFFICIAL_LAYOUTS['toco']
    state = {name.replace('weight_g', 'parametrizations.weight.original0')
             .replace('weight_v', 'parametrizations.weight.original1'): value
             for name, value in meta_weights(toco_shapes()).items()}
    state.update({'module.conv.weight': ZERO, 'module.aux_conv.weight': ZERO})
    mapped = map_keys(find_weights(state, layout), layout)
    assert len(mapped.state_dict) == 171
    assert mapped.state_dict['projector.weight_g'].shape == (1024, 1)


def test_vit_layouts():
    for method in ('deit', 'vit'):
        layout = OFFICIAL_LAYOUTS[method]
        mapped = map_keys(find_weights({'model': meta_weights(vit_shapes())}, layout), layout)
        assert len(mapped.state_dict) == 150
        assert all(name.startswith('backbone.') for name in mapped.state_dict)


def test_distilled_deit_is_refused():
    state = meta_weights(dict(vit_shapes(), dist_token=(1, 1, 768)))
    with pytest.raises(ValueError, match="not a checkpoint of DeiT .*1 weights have no place: 'dist_token'"):
        map_keys(state, OFFICIAL_LAYOUTS['deit'])


def test_another_method_is_refused():
    with pytest.raises(ValueError, match="not a checkpoint of ToCo .*152 weights have no place: 'cls_token'"):
        map_keys(meta_weights(vit_shapes()), OFFICIAL_LAYOUTS['toco'])


def test_vit_names_are_mmpretrain_s():
    """The renamed weights are exactly those of the ViT that the package builds."""
    from mmwsss.models import AttentionViT
    arch = dict(embed_dims=48, num_layers=2, num_heads=4, feedforward_channels=96)
    model = AttentionViT(arch=arch, img_size=64, patch_size=16)
    state = meta_weights(vit_shapes(width=48, depth=2, mlp=96, grid=4))
    mapped = map_keys(state, OFFICIAL_LAYOUTS['vit']).state_dict
    own = {f'backbone.{name}': value.shape for name, value in model.state_dict().items()}
    assert {name: value.shape for name, value in mapped.items()} == own


@pytest.mark.parametrize(('width', 'channels', 'parameters'), [
    (384, (64, 128, 256), 22.94), (384, (256, 512, 1024), 36.465066), (576, (384, 768, 1536), 81.48)])
def test_tables_of_transcam_and_of_conformer(width, channels, parameters):
    """The published file has 718 entries; of a Conformer's ImageNet file all but the two heads are taken."""
    state = meta_weights(conformer_shapes(width=width, channels=channels))
    trained = [value.numel() for name, value in state.items() if 'running' not in name and 'tracked' not in name]
    assert sum(trained) / 1e6 == pytest.approx(parameters, abs=0.005)
    mapped = map_keys(find_weights(state, OFFICIAL_LAYOUTS['transcam']), OFFICIAL_LAYOUTS['transcam']).state_dict
    assert len(mapped) == len(state) == 718
    for name, shape in {
            'backbone.conv_trans_12.trans_block.ffn.layers.0.0.weight': (4 * width, width),
            'backbone.trans_1.ln2.bias': (width, ), 'backbone.conv_trans_4.expand_block.bn.running_var':
            (channels[0] // 4, ), 'cam_head.conv_cls_head.weight': (21, channels[2], 3, 3),
            'cam_head.trans_cls_head.weight': (21, width)}.items():
        assert mapped[name].shape == shape
    layout = OFFICIAL_LAYOUTS['conformer-imagenet']
    imagenet = {'model': meta_weights(conformer_shapes(1000, width, channels, conv_head=()))}
    start = map_keys(find_weights(imagenet, layout), layout).state_dict
    assert {name: value.shape for name, value in start.items()} == {
        name: value.shape for name, value in mapped.items() if name.startswith('backbone.')}


def test_conformer_names_are_mmpretrain_s():
    from mmwsss.models import AttentionConformer
    model = AttentionConformer(arch=dict(embed_dims=24, depths=6, num_heads=2, channel_ratio=0.25))
    state = meta_weights(conformer_shapes(width=24, channels=(16, 32, 64), depth=6))
    mapped = map_keys(state, OFFICIAL_LAYOUTS['conformer-imagenet']).state_dict
    own = {f'backbone.{name}': value.shape for name, value in model.state_dict().items()}
    assert {name: value.shape for name, value in mapped.items()} == own


def test_vit_is_no_conformer():
    with pytest.raises(ValueError, match="not a checkpoint of TransCAM: .* weights have no place: 'pos_embed'"):
        map_keys(meta_weights(vit_shapes()), OFFICIAL_LAYOUTS['transcam'])


@pytest.mark.parametrize(('names', 'missing'), [
    ([], []),
    (['layers.0.a.w', 'layers.1.a.w', 'layers.2.a.w'], []),
    (['layers.0.a.w', 'layers.2.a.w', 'layers.3.a.w'], ['layers.1.a.w']),
    (['layers.1.a.w', 'layers.2.a.w', 'layers.3.a.w'], ['layers.0.a.w']),
    ([f'm.b_{i}.a.w' for i in (2, 3, 5)] + ['m.b_3.extra.w'], ['m.b_4.a.w']),
    (['mlp.0.weight', 'mlp.2.weight', 'mlp.4.weight'], []),
    ([f'layers.{i}.{part}' for i in range(3) for part in ('a.w', 'b.w') if (i, part) != (2, 'b.w')],
     ['layers.2.b.w']),
])
def test_missing_blocks(names, missing):
    assert missing_blocks(names) == missing
