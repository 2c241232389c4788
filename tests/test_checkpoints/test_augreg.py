import numpy as np
import pytest
import torch
from mmengine.runner import CheckpointLoader
from torch.nn import functional as F

from mmwsss.models import AttentionViT, extract_features

WIDTH, HEADS, LAYERS, MLP, PATCH = 12, 3, 2, 20, 4


def random_arrays() -> dict[str, np.ndarray]:
    """Arrays of a small ViT in the published layout."""
    rng = np.random.default_rng(0)
    depth = WIDTH // HEADS
    shapes = {'cls': (1, 1, WIDTH), 'embedding/kernel': (PATCH, PATCH, 3, WIDTH), 'embedding/bias': (WIDTH, ),
              'Transformer/posembed_input/pos_embedding': (1, 1 + 4, WIDTH), 'head/kernel': (WIDTH, 7),
              'head/bias': (7, ),
              'Transformer/encoder_norm/scale': (WIDTH, ), 'Transformer/encoder_norm/bias': (WIDTH, )}
    for i in range(LAYERS):
        block = f'Transformer/encoderblock_{i}'
        for norm in ('LayerNorm_0', 'LayerNorm_2'):
            shapes.update({f'{block}/{norm}/scale': (WIDTH, ), f'{block}/{norm}/bias': (WIDTH, )})
        attention = f'{block}/MultiHeadDotProductAttention_1'
        for part in ('query', 'key', 'value'):
            shapes[f'{attention}/{part}/kernel'] = (WIDTH, HEADS, depth)
            shapes[f'{attention}/{part}/bias'] = (HEADS, depth)
        shapes.update({f'{attention}/out/kernel': (HEADS, depth, WIDTH), f'{attention}/out/bias': (WIDTH, )})
        for part, size in (('Dense_0', (WIDTH, MLP)), ('Dense_1', (MLP, WIDTH))):
            shapes.update({f'{block}/MlpBlock_3/{part}/kernel': size, f'{block}/MlpBlock_3/{part}/bias': size[1:]})
    return {name: rng.normal(scale=.5, size=shape).astype(np.float32) for name, shape in shapes.items()}


def jax_forward(arrays: dict[str, np.ndarray], image: np.ndarray) -> np.ndarray:
    """Run the network as the published code does: einsum over named axes, image (H, W, 3)."""
    def norm(x, name):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
        return x * arrays[f'{name}/scale'] + arrays[f'{name}/bias']

    rows, cols = image.shape[0] // PATCH, image.shape[1] // PATCH
    patches = image.reshape(rows, PATCH, cols, PATCH, 3)
    x = np.einsum('iajbc,abcd->ijd', patches, arrays['embedding/kernel']) + arrays['embedding/bias']
    x = np.concatenate([arrays['cls'][0], x.reshape(-1, WIDTH)])
    x = x + arrays['Transformer/posembed_input/pos_embedding'][0]
    for i in range(LAYERS):
        block = f'Transformer/encoderblock_{i}'
        attention = f'{block}/MultiHeadDotProductAttention_1'
        y = norm(x, f'{block}/LayerNorm_0')
        q, k, v = (np.einsum('td,dhe->the', y, arrays[f'{attention}/{part}/kernel'])
                   + arrays[f'{attention}/{part}/bias'] for part in ('query', 'key', 'value'))
        scores = np.einsum('the,she->hts', q, k) / np.sqrt(WIDTH // HEADS)
        probs = np.exp(scores - scores.max(-1, keepdims=True))
        probs /= probs.sum(-1, keepdims=True)
        y = np.einsum('hts,she->the', probs, v)
        x = x + np.einsum('the,hed->td', y, arrays[f'{attention}/out/kernel']) + arrays[f'{attention}/out/bias']
        y = norm(x, f'{block}/LayerNorm_2') @ arrays[f'{block}/MlpBlock_3/Dense_0/kernel']
        y = F.gelu(torch.tensor(y + arrays[f'{block}/MlpBlock_3/Dense_0/bias'])).numpy()
        x = x + y @ arrays[f'{block}/MlpBlock_3/Dense_1/kernel'] + arrays[f'{block}/MlpBlock_3/Dense_1/bias']
    return norm(x, 'Transformer/encoder_norm').astype(np.float32)


def test_same_network_as_in_jax(tmp_path):
    arrays = random_arrays()
    np.savez(tmp_path / 'vit.npz', **arrays)
    vit = AttentionViT(
        arch=dict(embed_dims=WIDTH, num_layers=LAYERS, num_heads=HEADS, feedforward_channels=MLP), img_size=8,
        patch_size=PATCH, init_cfg=dict(type='Pretrained', checkpoint=f'augreg+{tmp_path}/vit.npz'))
    vit.init_weights()
    vit.eval()
    image = np.random.default_rng(1).normal(size=(8, 8, 3)).astype(np.float32)
    features = extract_features(vit, torch.tensor(image).permute(2, 0, 1)[None])
    expected = torch.tensor(jax_forward(arrays, image))
    torch.testing.assert_close(features.class_tokens[0, 0], expected[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(features.maps[-1][0].flatten(1).T, expected[1:], atol=1e-4, rtol=1e-4)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'nowhere\.npz'):
        CheckpointLoader.load_checkpoint(f'augreg+{tmp_path}/nowhere.npz')
    arrays = random_arrays()
    del arrays['Transformer/encoderblock_1/MlpBlock_3/Dense_1/bias']
    np.savez(tmp_path / 'broken.npz', **arrays)
    with pytest.raises(ValueError, match=r'no Vision Transformer of AugReg.*encoderblock_1/MlpBlock_3/Dense_1/bias'):
        CheckpointLoader.load_checkpoint(f'augreg+{tmp_path}/broken.npz')
