"""WeakTr's published checkpoints, from the authors' files to models that use them."""

import io
from functools import partial

import pytest
import torch
from rich.console import Console

from mmwsss.apis import init_model

from ..helpers import load_tool
from ..official_checkpoints import (
    class_token_shapes,
    eva02_segmenter_shapes,
    random_weights,
    segmenter_shapes,
    weaktr_fusion_shapes,
)


@pytest.fixture(scope='module')
def tool():
    return load_tool('tools/model_converters/official2mmwsss.py')


def converted(tool, method, content, folder) -> str:
    torch.save(content, folder / 'official.pth')
    tool.convert(method, str(folder / 'official.pth'), str(folder / 'out.pth'), Console(file=io.StringIO()))
    return str(folder / 'out.pth')


@pytest.mark.parametrize(('version', 'dataset', 'num_classes', 'parameters'), [
    ('V1', 'voc', 20, 21_751_988), ('V3', 'voc', 20, 21_751_221), ('V1', 'coco', 90, None), ('V3', 'coco', 90, None)])
def test_full_size_first_stage(tool, tmp_path, version, dataset, num_classes, parameters):
    fusion = weaktr_fusion_shapes(version, reduction=4 if version == 'V1' else 8)
    weights = random_weights({**class_token_shapes(num_classes), **fusion})
    assert parameters in (None, sum(value.numel() for value in weights.values()))
    method, config = ('weaktr', 'weaktr') if version == 'V1' else ('weaktr-v3', 'weaktr-v3')
    path = converted(tool, method, dict(model=weights, epoch=59, miou=69.4), tmp_path)
    model = init_model(f'configs/weaktr/{config}_deit-s_{dataset}.py', path)
    assert parameters in (None, sum(param.numel() for param in model.parameters()))
    name = 'fc.2.weight' if version == 'V1' else 'attn_head_ffn.2.weight'
    assert torch.equal(model.cam_head.attention_fusion.head_ffn[2].weight,
                       weights[f'adaptive_attention_fusion.{name}'])
    found = model.extract_cams(torch.randn(1, 3, 150, 211))
    for key in ('cams', 'coarse_cams', 'cross_attention'):
        assert found[key].shape == (1, num_classes, 9, 13)
        assert found[key].isfinite().all()
        assert found[key].std() > 0


SECOND_STAGES = {'deit-s': ('weaktr-seg', segmenter_shapes),
                 'dinov2-s': ('weaktr-seg-dinov2', partial(segmenter_shapes, layer_scale=True)),
                 'eva02-s': ('weaktr-seg-eva02', eva02_segmenter_shapes)}


@pytest.mark.parametrize(('backbone', 'dataset', 'num_classes'), [
    ('deit-s', 'voc', 21), ('deit-s', 'coco', 91), ('dinov2-s', 'voc', 21), ('eva02-s', 'coco', 91)])
def test_full_size_second_stage(tool, tmp_path, backbone, dataset, num_classes):
    method, shapes = SECOND_STAGES[backbone]
    weights = random_weights(shapes(num_classes))
    path = converted(tool, method, dict(
        model=weights, optimizer={}, n_cls=num_classes, lr_scheduler={}, epoch=99), tmp_path)
    model = init_model(f'configs/weaktr/weaktr-retrain_{backbone}_{dataset}.py', path)
    assert torch.equal(model.decode_head.patch_proj.weight, weights['decoder.proj_patch'].t())
    assert torch.equal(model.decode_head.layers[1].attn.attn.in_proj_weight,
                       weights['decoder.blocks.1.attn.qkv.weight'])
    assert torch.equal(model.backbone.pos_embed, weights['encoder.pos_embed'])
    with torch.no_grad():
        logits = model.encode_decode(torch.randn(1, 3, 96, 120), [{}])
    assert logits.shape == (1, num_classes, 96, 120)
    assert logits.isfinite().all()


def test_versions_are_told_apart(tool, tmp_path):
    small = dict(num_classes=2, width=48, mlp=96, depth=1, grid=4)
    first = random_weights({**class_token_shapes(**small), **weaktr_fusion_shapes('V1', 6, 2)})
    third = random_weights({**class_token_shapes(**small), **weaktr_fusion_shapes('V3', 6, 2, 8, 2)})
    with pytest.raises(ValueError, match=r'2 weights have no place: .*fc\.0\.weight(.|\n)*of METHOD weaktr '
                                         r'\(WeakTr \(version 1\)\)'):
        converted(tool, 'weaktr-v3', dict(model=first), tmp_path)
    with pytest.raises(ValueError, match=r'6 weights have no place: .*attn_head_ffn(.|\n)*of METHOD weaktr-v3 '
                                         r'\(WeakTr \(versions 2 and 3'):
        converted(tool, 'weaktr', dict(model=third), tmp_path)
    with pytest.raises(ValueError, match=r'it lacks .*adaptive_attention_fusion'):
        converted(tool, 'weaktr', dict(model=random_weights(class_token_shapes(**small))), tmp_path)


def test_a_converted_checkpoint_of_another_version_is_named(tool, tmp_path):
    small = dict(num_classes=2, width=48, mlp=96, depth=1, grid=4)
    arch = dict(embed_dims=48, num_layers=1, num_heads=6, feedforward_channels=96, _delete_=True)
    options = {'model.backbone.arch': arch, 'model.backbone.img_size': 64, 'model.backbone.num_class_tokens': 2,
               'model.cam_head.num_classes': 2, 'model.cam_head.in_channels': 48, 'model.cam_head.num_layers': 1,
               'model.cam_head.reduction': 2}
    names = {'V1': 'WeakTr, version 1', 'V3': 'WeakTr, version 2 or 3'}
    configs = {'V1': 'configs/weaktr/weaktr_deit-s_voc.py', 'V3': 'configs/weaktr/weaktr-v3_deit-s_voc.py'}
    for version, other, method in (('V1', 'V3', 'weaktr'), ('V3', 'V1', 'weaktr-v3')):
        weights = random_weights({**class_token_shapes(**small), **weaktr_fusion_shapes(version, 6, 2, 8, 1)})
        path = converted(tool, method, dict(model=weights), tmp_path)
        with pytest.raises(ValueError, match=f'checkpoint is of {names[version]}, the config of {names[other]}: use '
                                             f'configs/weaktr/weaktr'):
            init_model(configs[other], path, cfg_options=options)
        torch.save(dict(model=weights), tmp_path / 'as_published.pth')
        with pytest.raises(ValueError, match=f"names of its authors' code: convert it with .* {method}"):
            init_model(configs[version], tmp_path / 'as_published.pth', cfg_options=options)
