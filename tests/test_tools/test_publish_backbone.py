"""The tool that cuts a backbone out of a checkpoint."""

import hashlib

import pytest
import torch

from mmwsss.checkpoints import read_checkpoint
from mmwsss.utils.errors import UserError

from ..helpers import call_tool, load_tool

SCRIPT = 'tools/model_converters/publish_backbone.py'


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / 'iter_9.pth'
    torch.manual_seed(0)
    weights = {'backbone.layers.0.ln1.weight': torch.randn(4), 'backbone.steps': torch.tensor(3),
               'head.fc.weight': torch.randn(2, 4)}
    torch.save({'state_dict': weights, 'optimizer': {'state': torch.zeros(99)}, 'meta': {'iter': 9}}, path)
    return path, weights


def test_keeps_the_backbone_alone_in_half_precision(checkpoint, tmp_path):
    path, weights = checkpoint
    call_tool(SCRIPT, path, tmp_path / 'out/vit', '--meta', 'accuracy/top1=81.5', '--meta', 'command=a=b')
    result, = (tmp_path / 'out').iterdir()
    assert result.name == f'vit-{hashlib.sha256(result.read_bytes()).hexdigest()[:8]}.pth'
    content = torch.load(result, weights_only=True)
    assert content['meta'] == {'accuracy/top1': '81.5', 'command': 'a=b'}
    assert set(content['state_dict']) == {'layers.0.ln1.weight', 'steps'}
    assert torch.equal(content['state_dict']['layers.0.ln1.weight'], weights['backbone.layers.0.ln1.weight'].half())
    assert content['state_dict']['steps'].dtype == torch.int64


def test_same_weights_same_name(checkpoint, tmp_path):
    for folder in ('a', 'b'):
        call_tool(SCRIPT, checkpoint[0], tmp_path / folder / 'vit', '--float32')
    first, second = (next((tmp_path / folder).iterdir()) for folder in ('a', 'b'))
    assert first.name == second.name
    assert torch.load(first, weights_only=True)['state_dict']['layers.0.ln1.weight'].dtype == torch.float32


def test_safetensors_on_demand(checkpoint, tmp_path):
    path, weights = checkpoint
    call_tool(SCRIPT, path, tmp_path / 'out/vit', '--safetensors', '--meta', 'accuracy/top1=81.5')
    result, = (tmp_path / 'out').iterdir()
    assert result.name == f'vit-{hashlib.sha256(result.read_bytes()).hexdigest()[:8]}.safetensors'
    content = read_checkpoint(result)
    assert content['meta'] == {'accuracy/top1': '81.5'}
    assert torch.equal(content['state_dict']['layers.0.ln1.weight'], weights['backbone.layers.0.ln1.weight'].half())


def test_wrong_prefix_and_meta_are_explained(checkpoint, tmp_path):
    with pytest.raises(UserError, match=r"'encoder\.'.*backbone.*head"):
        call_tool(SCRIPT, checkpoint[0], tmp_path / 'vit', '--prefix', 'encoder.')
    with pytest.raises(UserError, match='KEY=VALUE'):
        call_tool(SCRIPT, checkpoint[0], tmp_path / 'vit', '--meta', 'top1')


def test_values_beyond_half_precision_are_refused():
    with pytest.raises(ValueError, match='float32'):
        load_tool(SCRIPT).cut_backbone({'backbone.x': torch.tensor([1e6])}, 'backbone.')
