import pytest
import torch
from mmengine.runner import CheckpointLoader

from mmwsss.models import AttentionViT

ARCH = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)
RENAMES = [('ffn.layers.0.0', 'mlp.fc1'), ('ffn.layers.1', 'mlp.fc2'), ('layers.', 'blocks.'), ('.ln1.', '.norm1.'),
           ('.ln2.', '.norm2.'), ('patch_embed.projection', 'patch_embed.proj')]


def timm_name(name):
    for ours, theirs in RENAMES:
        name = name.replace(ours, theirs)
    return name.replace('ln1.', 'norm.') if name.startswith('ln1') else name


def test_timm_backbone_starts_from_its_file(tmp_path):
    source = AttentionViT(arch=ARCH, img_size=32, patch_size=8)
    for param in source.parameters():
        torch.nn.init.normal_(param)
    weights = {timm_name(name): value for name, value in source.state_dict().items()}
    weights['head.weight'], weights['head.bias'] = torch.zeros(10, 16), torch.zeros(10)
    torch.save(dict(model=weights), tmp_path / 'deit.pth')
    vit = AttentionViT(
        arch=ARCH, img_size=32, patch_size=8,
        init_cfg=dict(type='Pretrained', checkpoint=f'timm+{tmp_path}/deit.pth'))
    vit.init_weights()
    for (name, ours), theirs in zip(vit.named_parameters(), source.parameters()):
        assert torch.equal(ours, theirs), name


def test_other_files_are_refused(tmp_path):
    torch.save({'conv1.weight': torch.zeros(1)}, tmp_path / 'resnet.pth')
    with pytest.raises(ValueError, match='conv1.weight'):
        CheckpointLoader.load_checkpoint(f'timm+{tmp_path}/resnet.pth')
