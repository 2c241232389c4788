from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mmwsss.engine.hooks import CompileLayersHook
from mmwsss.models import AttentionViT
from mmwsss.utils.errors import UserError


class Model(nn.Module):

    def __init__(self):
        super().__init__()
        arch = dict(embed_dims=8, num_layers=3, num_heads=2, feedforward_channels=16)
        self.backbone = AttentionViT(arch=arch, img_size=16, patch_size=4)


def test_layers_run_compiled_and_nothing_else_changes(monkeypatch):
    """The compiler is replaced by one that counts, because PyTorch's takes minutes."""
    compiled, calls = [], []

    def compile_function(function, **options):
        compiled.append(options)
        return lambda *args: calls.append(function) or function(*args)

    monkeypatch.setattr(torch, 'compile', compile_function)
    model, images = Model(), torch.randn(2, 3, 16, 16)
    names, expected = list(model.state_dict()), model.backbone(images)[-1]
    CompileLayersHook(mode='default').before_train(SimpleNamespace(model=model))
    assert compiled == [dict(mode='default', dynamic=True)] * 3
    assert torch.equal(model.backbone(images)[-1], expected)
    assert len(calls) == 3
    assert list(model.state_dict()) == names


@pytest.mark.parametrize('layers', ['backbone.blocks', 'backbone.ln1'])
def test_a_model_without_such_layers(layers):
    with pytest.raises(UserError, match='Model has no layers named'):
        CompileLayersHook(layers).before_train(SimpleNamespace(model=Model()))
