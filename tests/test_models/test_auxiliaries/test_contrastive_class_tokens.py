"""MCTformer+'s contrast of class tokens: by hand, in an iteration of the authors' code, and where it cannot work."""

import math

import pytest
import torch
from mmengine.config import Config
from mmseg.structures import SegDataSample

from mmwsss.checkpoints import OFFICIAL_LAYOUTS, find_weights, map_keys
from mmwsss.models import ContrastiveClassTokenLoss
from mmwsss.registry import MODELS
from tests.helpers import REPO
from tests.official_checkpoints import wave_image
from tests.published_maps import DEPTH, HEADS, MLP, NUM_CLASSES, WIDTH, official_weights


def test_loss_by_hand():
    """Of two orthogonal tokens each has the similarities 1 and 0; of two equal ones 1 and 1. Lengths do not matter."""
    orthogonal, equal = torch.tensor([[3., 0], [0, .1]]), torch.tensor([[1., 1], [2, 2]])
    tokens = torch.stack([orthogonal, equal])[:, None]
    loss = ContrastiveClassTokenLoss()
    expected = (math.log(1 + math.exp(-1)) + math.log(2)) / 2
    for labels in ([[1., 1]], [[1., 0]], [[0, 1.]]):
        assert loss(tokens, torch.tensor(labels)).item() == pytest.approx(expected, rel=1e-6)
    tokens.requires_grad_()
    nothing = loss(tokens, torch.zeros(1, 2))
    nothing.backward()
    assert nothing == 0
    assert not tokens.grad.any()


def small_model(**auxiliary):
    cfg = Config.fromfile(REPO / 'configs/mctformer/mctformer-plus_deit-s_voc.py').model
    arch = dict(embed_dims=WIDTH, num_layers=DEPTH, num_heads=HEADS, feedforward_channels=MLP)
    cfg.backbone.update(arch=arch, img_size=224, num_class_tokens=NUM_CLASSES, drop_path_rate=0., init_cfg=None)
    cfg.cam_head.update(num_classes=NUM_CLASSES, in_channels=WIDTH, attention_layers=DEPTH)
    cfg.auxiliary.class_tokens.update({'num_layers': DEPTH, **auxiliary})
    return MODELS.build(cfg).train()


def losses_of(model):
    labels = torch.tensor([[1., 0, 1], [0, 1, 0]])
    samples = [SegDataSample() for _ in labels]
    for sample, row in zip(samples, labels):
        sample.set_field(row, 'gt_label')
    image = wave_image((224, 224)).float()
    return model.loss(torch.cat([image, image.flip(2) * 1.5]), samples)


def test_an_iteration_equals_the_published_one():
    """Losses of xulianuwa/MCTformer, 0acc27a."""
    model = small_model()
    layout = OFFICIAL_LAYOUTS['mctformer-plus']
    model.load_state_dict(map_keys(find_weights(official_weights('mctformer-plus'), layout), layout).state_dict)
    losses = losses_of(model)
    expected = dict(loss_cls=.684008002, loss_patch=1.689133883, loss_class_tokens=.531996727)
    assert set(losses) == set(expected)
    for name, value in expected.items():
        assert losses[name].item() == pytest.approx(value, rel=2e-5), name
    sum(losses.values()).backward()
    for name, param in model.named_parameters():
        assert (param.grad is not None) == param.requires_grad, name


def test_last_layers_and_weight():
    model = small_model(num_layers=1, weight=3.)
    torch.manual_seed(0)
    model.init_weights()
    one = losses_of(model)['loss_class_tokens']
    model.auxiliary['class_tokens'].weight = 1.
    assert losses_of(model)['loss_class_tokens'].item() == pytest.approx(one.item() / 3)
    all_layers = small_model(num_layers=None)
    all_layers.load_state_dict(model.state_dict())
    assert losses_of(all_layers)['loss_class_tokens'].item() != pytest.approx(one.item() / 3, rel=1e-4)


def test_needs_a_token_for_each_class():
    backbone = dict(type='AttentionViT', img_size=32, patch_size=16,
                    arch=dict(embed_dims=16, num_layers=1, num_heads=2, feedforward_channels=16))
    model = MODELS.build(dict(type='CAMClassifier', backbone=backbone, auxiliary=[dict(type='ContrastiveClassTokens')],
                              cam_head=dict(type='CAMHead', num_classes=5, in_channels=16)))
    sample = SegDataSample()
    sample.set_field(torch.ones(5), 'gt_label')
    with pytest.raises(ValueError, match='class token for each of 5 classes, but the backbone has 1'):
        model.loss(torch.randn(1, 3, 32, 32), [sample])
    with pytest.raises(ValueError, match='num_layers must be at least 1 or None, got 0'):
        small_model(num_layers=0)
