"""Published backbones are recognized by their names, and load with nothing missing and nothing left over."""

import pytest
import torch
from mmengine.runner import CheckpointLoader
from safetensors.torch import save_file

from mmwsss.checkpoints import (
    CheckpointError,
    check_backbone_fit,
    read_backbone,
    rename_backbone,
    write_checkpoint,
)
from mmwsss.models import AttentionConformer, AttentionViT, EfficientNetLite, EVA02ViT, WideResNet38

from ..official_checkpoints import conformer_shapes, eva02_shapes, random_weights, resnet38_shapes, vit_shapes

WIDTH, DEPTH, MLP, GRID, PATCH = 16, 3, 32, 4, 8
VIT = dict(width=WIDTH, depth=DEPTH, mlp=MLP, grid=GRID, patch=PATCH, classes=5)
LITE_UNITS = (('expand', 0, 'expand_conv'), ('depthwise', 1, 'depthwise_conv'), ('project', 2, 'linear_conv'))


def small_vit(layer_scale=0.):
    arch = dict(embed_dims=WIDTH, num_layers=DEPTH, num_heads=2, feedforward_channels=MLP)
    return AttentionViT(arch=arch, img_size=GRID * PATCH, patch_size=PATCH, layer_scale_init_value=layer_scale)


def timm_weights(head=True, **sizes):
    weights = random_weights(vit_shapes(**{**VIT, **sizes}))
    return {name: value for name, value in weights.items() if head or not name.startswith('head')}


def meta_weights(width=WIDTH, depth=DEPTH, **sizes):
    """DINOv2 as Meta publishes it."""
    weights = dict(timm_weights(False, width=width, depth=depth, **sizes), mask_token=torch.zeros(1, width))
    scales = {f'blocks.{i}.ls{j}.gamma': torch.randn(width) for i in range(depth) for j in (1, 2)}
    return {**weights, **scales}


def hf_weights(prefix='', **sizes):
    """DINOv2 in Hugging Face's layout, made from Meta's."""
    found = {}
    renames = {'attn.proj': 'attention.output.dense', 'ls1.gamma': 'layer_scale1.lambda1',
               'ls2.gamma': 'layer_scale2.lambda1', 'patch_embed.proj': 'embeddings.patch_embeddings.projection',
               'cls_token': 'embeddings.cls_token', 'pos_embed': 'embeddings.position_embeddings',
               'mask_token': 'embeddings.mask_token', 'blocks.': 'encoder.layer.'}
    for name, value in meta_weights(**sizes).items():
        name = f'layernorm{name[4:]}' if name.startswith('norm.') else name
        for old, new in renames.items():
            name = name.replace(old, new)
        if 'attn.qkv' in name:
            for part, chunk in zip(('query', 'key', 'value'), value.chunk(3)):
                found[prefix + name.replace('attn.qkv', f'attention.attention.{part}')] = chunk.contiguous()
        else:
            found[prefix + name] = value
    return found


def moco_v3_checkpoint():
    weights = {f'module.base_encoder.{name}': value for name, value in timm_weights(head=False).items()}
    extra = {'base_encoder.head.0.weight': (9, WIDTH), 'momentum_encoder.norm.weight': (WIDTH, ),
             'predictor.0.weight': (9, 9)}
    return dict(epoch=300, state_dict={**weights, **{f'module.{name}': torch.zeros(s) for name, s in extra.items()}})


def mae_checkpoint():
    extra = {'mask_token': (1, 1, 8), 'decoder_pos_embed': (1, 17, 8), 'decoder_blocks.0.norm1.weight': (8, ),
             'decoder_embed.weight': (8, WIDTH)}
    return dict(model={**timm_weights(head=False), **{name: torch.zeros(shape) for name, shape in extra.items()}})


LAYOUTS = {
    'timm': (lambda: dict(model=timm_weights()), 0.),
    'meta': (meta_weights, 1e-5),
    'hf': (hf_weights, 1e-5),
    'hf_classifier': (lambda: {**hf_weights('dinov2.'), 'classifier.weight': torch.zeros(2, 2 * WIDTH)}, 1e-5),
    'moco_v3': (moco_v3_checkpoint, 0.),
    'mae': (mae_checkpoint, 0.),
}


def expected_qkv(checkpoint):
    """The attention weights of the last block, in timm's order."""
    weights = checkpoint.get('state_dict', checkpoint.get('model', checkpoint))
    joined = [value for name, value in weights.items() if name.endswith(f'blocks.{DEPTH - 1}.attn.qkv.weight')]
    parts = [weights[name] for part in ('query', 'key', 'value') for name in weights
             if name.endswith(f'layer.{DEPTH - 1}.attention.attention.{part}.weight')]
    return joined[0] if joined else torch.cat(parts)


@pytest.mark.parametrize('layout', LAYOUTS)
def test_a_vision_transformer_of_each_layout_loads_whole(layout, tmp_path):
    make, layer_scale = LAYOUTS[layout]
    checkpoint = make()
    torch.save(checkpoint, tmp_path / 'start.pth')
    weights = read_backbone(tmp_path / 'start.pth')
    vit = small_vit(layer_scale)
    check_backbone_fit(vit, weights, 'start.pth')
    vit.load_state_dict(weights, strict=True)
    assert torch.equal(vit.layers[DEPTH - 1].attn.qkv.weight, expected_qkv(checkpoint))


@pytest.mark.parametrize('make', [meta_weights, hf_weights])
@pytest.mark.parametrize(('arch', 'sizes'), [
    ('dinov2-s', dict(width=384, mlp=1536)), ('dinov2-b', dict(width=768, mlp=3072))])
def test_the_published_sizes_of_dinov2_fit(arch, sizes, make):
    with torch.device('meta'):  # shapes alone
        vit = AttentionViT(arch=arch, img_size=518, patch_size=14, layer_scale_init_value=1e-5)
        weights = {name: torch.empty(value.shape) for name, value in make(depth=12, grid=37, patch=14, **sizes).items()}
        check_backbone_fit(vit, rename_backbone(weights, 'file.pth'), 'file.pth')


def test_safetensors_and_the_prefix_of_configs(tmp_path):
    weights = hf_weights()
    save_file(weights, tmp_path / 'model.safetensors')
    loaded = CheckpointLoader.load_checkpoint(f'auto+{tmp_path}/model.safetensors')['state_dict']
    assert torch.equal(loaded['layers.1.attn.gamma1.weight'], weights['encoder.layer.1.layer_scale1.lambda1'])
    assert torch.equal(loaded['layers.1.ffn.gamma2.weight'], weights['encoder.layer.1.layer_scale2.lambda1'])
    vit = AttentionViT(
        arch=dict(embed_dims=WIDTH, num_layers=DEPTH, num_heads=2, feedforward_channels=MLP), img_size=GRID * PATCH,
        patch_size=PATCH, layer_scale_init_value=1e-5,
        init_cfg=dict(type='Pretrained', checkpoint=f'auto+{tmp_path}/model.safetensors'))
    vit.init_weights()
    assert torch.equal(vit.ln1.weight, weights['layernorm.weight'])


def lite_names():
    """Names of EfficientNet-Lite0 as published, by ours."""
    names = {'layers.0.conv': '_conv_stem', 'layers.0.bn': '_bn0', 'layers.6.conv': '_conv_head', 'layers.6.bn': '_bn1'}
    places = [(stage, block) for stage, count in enumerate((1, 2, 2, 6, 5), 1) for block in range(count)]
    for index, (stage, block) in enumerate(places):
        for conv, norm, ours in LITE_UNITS:
            names[f'layers.{stage}.{block}.{ours}.conv'] = f'_blocks.{index}._{conv}_conv'
            names[f'layers.{stage}.{block}.{ours}.bn'] = f'_blocks.{index}._bn{norm}'
    return names


def test_efficientnet_lite_loads_whole(tmp_path):
    source, names = EfficientNetLite(), lite_names()
    published = {}
    for name, value in source.state_dict().items():
        module, kind = name.rsplit('.', 1)
        published[f'{names[module]}.{kind}'] = torch.rand(value.shape) if value.ndim else value
    published['_fc.weight'] = torch.zeros(5, 1280)
    torch.save(published, tmp_path / 'lite0.pth')
    weights = read_backbone(tmp_path / 'lite0.pth')
    check_backbone_fit(source, weights, 'lite0.pth')
    assert torch.equal(weights['layers.5.4.linear_conv.conv.weight'], published['_blocks.15._project_conv.weight'])


@pytest.mark.parametrize('kind', ['conformer', 'resnet38'])
def test_other_official_backbones_are_recognized(kind, tmp_path):
    if kind == 'conformer':
        shapes = conformer_shapes(width=24, channels=(64, 128, 256), conv_head=())
        backbone = AttentionConformer(arch=dict(embed_dims=24, channel_ratio=1, num_heads=2, depths=12))
    else:
        shapes, backbone = resnet38_shapes(width=1), WideResNet38(base_channels=1)
    torch.save(random_weights(shapes), tmp_path / 'file.pth')
    weights = read_backbone(tmp_path / 'file.pth')
    check_backbone_fit(backbone, weights, 'file.pth')


def test_our_own_files_give_their_backbone(tmp_path):
    vit = small_vit()
    own = {f'backbone.{name}': value for name, value in vit.state_dict().items()}
    write_checkpoint(tmp_path / 'run.pth', {**own, 'cam_head.classifier.weight': torch.zeros(3, WIDTH, 1, 1)}, {})
    write_checkpoint(tmp_path / 'backbone.safetensors', vit.state_dict(), {})
    for name in ('run.pth', 'backbone.safetensors'):
        check_backbone_fit(vit, read_backbone(tmp_path / name), name)


def test_register_tokens_are_refused_by_name(tmp_path):
    torch.save({**meta_weights(), 'register_tokens': torch.zeros(1, 4, WIDTH)}, tmp_path / 'reg4.pth')
    with pytest.raises(CheckpointError, match='reg4.pth.*DINOv2.*register_tokens'):
        read_backbone(tmp_path / 'reg4.pth')


def test_an_incomplete_attention_is_refused_by_name(tmp_path):
    weights = hf_weights()
    del weights['encoder.layer.1.attention.attention.value.bias']
    torch.save(weights, tmp_path / 'cut.pth')
    with pytest.raises(CheckpointError, match=r'layer\.1\.attention\.attention\.(query|key)\.bias'):
        read_backbone(tmp_path / 'cut.pth')


@pytest.mark.parametrize(('change', 'message'), [
    (lambda weights: weights.pop('ln1.bias'), 'lacks 1 of .* weights: .ln1.bias'),
    (lambda weights: weights.update(extra=torch.zeros(1)), "has 1 that the backbone does not: 'extra'"),
    (lambda weights: weights.update({'ln1.bias': torch.zeros(3)}), r'ln1.bias \(3,\) against \(16,\)'),
])
def test_what_does_not_fit_is_named(change, message):
    vit = small_vit()
    weights = dict(vit.state_dict())
    change(weights)
    with pytest.raises(CheckpointError, match=message):
        check_backbone_fit(vit, weights, 'file.pth')


def test_position_embeddings_of_another_size_fit():
    weights = dict(small_vit().state_dict(), pos_embed=torch.zeros(1, 50, WIDTH))
    check_backbone_fit(small_vit(), weights, 'file.pth')
    with pytest.raises(CheckpointError, match='pos_embed'):
        check_backbone_fit(small_vit(), dict(weights, pos_embed=torch.zeros(1, 50, 8)), 'file.pth')


def small_eva02(**kwargs):
    arch = dict(embed_dims=WIDTH, num_layers=DEPTH, num_heads=2, feedforward_channels=int(4 * 2 / 3 * WIDTH))
    return EVA02ViT(arch=arch, img_size=GRID * PATCH, patch_size=PATCH, **kwargs)


def test_eva02_starts_from_its_authors_file_with_patches_of_another_size(tmp_path):
    shapes = {**eva02_shapes(WIDTH, DEPTH, GRID, patch=6), 'mask_token': (1, 1, WIDTH), 'lm_head.weight': (9, WIDTH),
              'lm_head.bias': (9, ), 'rope.freqs_cos': (16, 8), 'blocks.0.attn.rope.freqs_sin': (16, 8)}
    weights = random_weights(shapes)
    torch.save(dict(module=weights), tmp_path / 'eva02.pt')
    found = read_backbone(tmp_path / 'eva02.pt')
    with pytest.raises(CheckpointError, match='1 differ in shape.*patch_embed.projection.weight'):
        check_backbone_fit(small_eva02(), found, 'eva02.pt')
    model = small_eva02(resize_patch_embed=True,
                        init_cfg=dict(type='Pretrained', checkpoint=f'auto+{tmp_path}/eva02.pt'))
    check_backbone_fit(model, found, 'eva02.pt')
    model.init_weights()
    assert torch.equal(model.layers[2].attn.v_bias, weights['blocks.2.attn.v_bias'])
    assert torch.equal(model.layers[1].mlp.w12.weight, weights['blocks.1.mlp.w12.weight'])
    expected = torch.nn.functional.interpolate(weights['patch_embed.proj.weight'], size=(PATCH, PATCH), mode='bicubic')
    torch.testing.assert_close(model.patch_embed.projection.weight, expected)
    assert model(torch.randn(1, 3, 40, 32))[0].shape == (1, WIDTH, 5, 4), 'any size'


def test_a_vit_takes_patches_of_another_size_only_if_asked(tmp_path):
    weights = rename_backbone(timm_weights(patch=6), 'vit.pth')
    with pytest.raises(CheckpointError, match=r'\(16, 3, 6, 6\) against \(16, 3, 8, 8\)'):
        check_backbone_fit(small_vit(), weights, 'vit.pth')
    model = small_vit()
    model.resize_patch_embed = True
    check_backbone_fit(model, weights, 'vit.pth')
    model.load_state_dict(weights)
    assert model.patch_embed.projection.weight.shape[-1] == PATCH
