"""ToCo's passes without gradient in a lower precision: what runs in it, and that training goes the same way."""

import pytest
import torch

from mmwsss.models import extract_features

from ..toco_example import at_iteration, batch, build


def losses_and_types(no_grad_dtype):
    """Return the losses of an iteration, and in which type the layers projected, with gradient and without."""
    model, seen = build(no_grad_dtype=no_grad_dtype).float(), set()
    for layer in model.backbone.layers[:-1]:  # the last one computes nothing but class tokens in some passes
        layer.attn.qkv.register_forward_hook(lambda module, args, out: seen.add((torch.is_grad_enabled(), out.dtype)))
    views, samples = batch()
    at_iteration(10)
    return model.loss({name: view.float() for name, view in views.items()}, samples), seen


def test_only_passes_without_gradient_are_in_the_lower_precision():
    published, types = losses_and_types(None)
    assert types == {(True, torch.float32), (False, torch.float32)}
    losses, types = losses_and_types('bfloat16')
    assert types == {(True, torch.float32), (False, torch.bfloat16)}
    assert losses.keys() == published.keys()
    for name in ('loss_cls', 'loss_aux'):
        assert torch.equal(losses[name], published[name])
    for name, value in published.items():
        assert losses[name].dtype == torch.float32
        assert losses[name].item() == pytest.approx(value.item(), rel=.1), name


def test_class_maps_are_close_and_in_float32():
    model, images, present = build().float(), batch()[0]['main'].float(), torch.tensor([0, 3])
    with torch.no_grad():
        features = extract_features(model.backbone, images, model.cam_head.request())
    expected = model._training_cams(images, features, present)
    model.train_cfg['no_grad_dtype'] = 'bfloat16'
    for name, maps in model._training_cams(images, features, present).items():
        assert maps.dtype == torch.float32
        assert not torch.equal(maps, expected[name])
        assert (maps - expected[name]).abs().mean() < .01, name
