"""Weights of an exported model get their names and shapes back."""

import numpy as np
import pytest
import torch

from mmwsss.checkpoints import CheckpointError, read_backbone

onnx = pytest.importorskip('onnx', reason='reading ONNX files needs the optional onnx package')

WIDTH = 4
rng = np.random.default_rng(0)


def values(*shape):
    return rng.normal(size=shape).astype(np.float32)


def exported_dinov2(layers=2):
    """Nodes of a small DINOv2 as torch's exporter names them, and the arrays they use."""
    nodes, arrays = [], {}

    def use(op, module, name, array):
        arrays[name] = array
        nodes.append(onnx.helper.make_node(op, ['x', name], ['x'], name=f'/{module.replace(".", "/")}/{op}'))

    use('Conv', 'backbone.embeddings.patch_embeddings.projection',
        'backbone.embeddings.patch_embeddings.projection.weight', values(WIDTH, 3, 2, 2))
    use('Add', 'backbone.embeddings.patch_embeddings.projection',
        'backbone.embeddings.patch_embeddings.projection.bias', values(WIDTH))
    use('Expand', 'backbone.embeddings', 'backbone.embeddings.cls_token', values(1, 1, WIDTH))
    use('Reshape', 'backbone.embeddings', 'onnx::Reshape_7', values(1, 9, WIDTH))
    use('Concat', 'backbone.embeddings', 'onnx::Concat_5', values(1, 1, WIDTH))
    linears = [('attention.attention.query', 4, 4), ('attention.attention.key', 4, 4),
               ('attention.attention.value', 4, 4), ('attention.output.dense', 4, 4), ('mlp.fc1', 8, 4),
               ('mlp.fc2', 4, 8)]
    for index in range(layers):
        block = f'backbone.encoder.layer.{index}'
        for name, rows, cols in linears:
            # The path of a layer keeps its dot: /backbone/encoder/layer.0/mlp/fc1/MatMul.
            arrays[f'onnx::MatMul_{index}_{name}'] = values(cols, rows)
            path = f'/backbone/encoder/layer.{index}/{name.replace(".", "/")}/MatMul'
            nodes.append(onnx.helper.make_node('MatMul', ['x', f'onnx::MatMul_{index}_{name}'], ['x'], name=path))
            use('Add', f'{block}.{name}', f'{block}.{name}.bias', values(rows))
        for name in ('norm1.weight', 'norm1.bias', 'norm2.weight', 'norm2.bias', 'layer_scale1.lambda1',
                     'layer_scale2.lambda1'):
            use('Mul', f'{block}.{name}', f'{block}.{name}', values(WIDTH))
    for name in ('weight', 'bias'):
        use('Mul', 'backbone.layernorm', f'backbone.layernorm.{name}', values(WIDTH))
    use('Conv', 'decoder.final_conv', 'decoder.final_conv.weight', values(1, WIDTH, 1, 1))
    return nodes, arrays


def write_onnx(path, nodes, arrays):
    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = onnx.helper.make_graph(nodes, 'exported', [], [], initializer=tensors)
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString())
    return path


def test_linear_layers_and_positions_are_restored(tmp_path):
    nodes, arrays = exported_dinov2()
    weights = read_backbone(write_onnx(tmp_path / 'vit.onnx', nodes, arrays))
    assert len(weights) == 3 + 1 + 2 * 14 + 2
    assert np.array_equal(weights['layers.1.ffn.layers.0.0.weight'], arrays['onnx::MatMul_1_mlp.fc1'].T)
    parts = [arrays[f'onnx::MatMul_0_attention.attention.{part}'].T for part in ('query', 'key', 'value')]
    assert np.array_equal(weights['layers.0.attn.qkv.weight'], np.concatenate(parts))
    positions = np.concatenate([arrays['onnx::Concat_5'], arrays['onnx::Reshape_7']], axis=1)
    assert torch.equal(weights['pos_embed'], torch.from_numpy(positions))
    assert not any('decoder' in name for name in weights)


def test_a_lost_layer_is_named(tmp_path):
    nodes, arrays = exported_dinov2(3)
    del arrays['backbone.encoder.layer.1.mlp.fc1.bias']
    with pytest.raises(CheckpointError, match=r"vit.onnx.*incomplete.*layers\.1\.ffn\.layers\.0\.0\.bias"):
        read_backbone(write_onnx(tmp_path / 'vit.onnx', nodes, arrays))


@pytest.mark.parametrize('content', [b'', b'no protobuf at all', b'\x08\x07'])
def test_other_files_are_refused(content, tmp_path):
    (tmp_path / 'bad.onnx').write_bytes(content)
    with pytest.raises(CheckpointError, match='bad.onnx is damaged or is no ONNX file'):
        read_backbone(tmp_path / 'bad.onnx')


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='none.onnx does not exist'):
        read_backbone(tmp_path / 'none.onnx')
