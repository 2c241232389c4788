"""Every config with AReAM's mechanism, made small: the config alone switches it on."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.registry import init_default_scope
from mmseg.structures import SegDataSample

from mmwsss.checkpoints import OFFICIAL_LAYOUTS, map_keys
from mmwsss.models import ToCo
from mmwsss.registry import MODELS
from tests.helpers import REPO
from tests.official_checkpoints import wave_image
from tests.published_maps import HEADS, NUM_CLASSES, WIDTH, official_weights

from .. import toco_example

CONFIGS = sorted(path for path in REPO.glob('configs/aream/*.py') if not path.name.startswith(('recipe', 'sweep')))


def small_model(path: Path, **options):
    """Build a config's model with three layers of width 32 and patches of 8 pixels, on its own head and mechanism."""
    init_default_scope('mmwsss')
    cfg = Config.fromfile(path)
    cfg.model.backbone.pop('init_cfg')
    layers = 4 if cfg.model.type == 'ToCo' else 3
    if cfg.model.backbone.type == 'AttentionConformer':
        cfg.model.backbone.arch = dict(embed_dims=32, depths=layers, num_heads=2, channel_ratio=.25)
        cfg.model.cam_head.update(conv_channels=64, token_channels=32)
    else:
        cfg.model.backbone.arch = dict(embed_dims=32, num_layers=layers, num_heads=2, feedforward_channels=32)
        cfg.model.backbone.update(img_size=64, patch_size=8)
    cfg.merge_from_dict({f'model.{key}': value for key, value in options.items()})
    for part in ('cam_head', 'decode_head', 'projector'):
        if 'in_channels' in cfg.model.get(part, {}):
            cfg.model[part].in_channels = 32
    if 'local_crop_size' in cfg.model.get('train_cfg', {}):
        cfg.model.train_cfg.local_crop_size = 16
    head = cfg.model.cam_head
    for key in {'attention_layers', 'num_layers'} & head.keys():
        head[key] = min(head[key], layers)
    part = (cfg.model.get('auxiliary') or {}).get('reactivation') or {}
    if part.get('layer_split'):
        part.layer_split = 2
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    return model.train()


def batch(model):
    views, samples = toco_example.batch()
    views = {name: view.float() for name, view in views.items()}
    for sample in samples:
        sample.gt_label = torch.nn.functional.pad(sample.gt_label, (0, model.cam_head.num_classes - 6))
    return views if isinstance(model, ToCo) else views['main'], samples


@pytest.fixture(autouse=True)
def _late():
    hub = MessageHub.get_current_instance()
    before = {key: hub.get_info(key, 0) for key in ('epoch', 'iter')}
    hub.update_info_dict(dict(epoch=30, iter=10000))
    yield
    hub.update_info_dict(before)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config_trains_with_the_mechanism(path):
    model = small_model(path, **({'cam_head.num_classes': 8} if 'sample' in path.stem else {}))
    losses = model.loss(*batch(model))
    assert losses['loss_affinity'] > 0
    sum(value for name, value in losses.items() if name.startswith('loss')).backward()
    for name, param in model.named_parameters():
        assert (param.grad is not None) == param.requires_grad, name
        assert param.grad is None or param.grad.isfinite().all(), name


def test_off_by_an_option():
    model = small_model(REPO / 'configs/aream/mctformer-v2+aream_deit-s_voc.py', auxiliary=None)
    assert set(model.loss(*batch(model))) == {'loss_cls', 'loss_patch'}


@pytest.mark.parametrize('layers', [6, 8, 10, 12])
def test_depths(layers):
    """The first layers of a checkpoint of twelve; parameters as mmpretrain counts them."""
    init_default_scope('mmwsss')
    cfg = Config.fromfile(REPO / 'configs/aream/aream_deit-s_voc.py').model
    cfg.backbone.arch.num_layers = cfg.cam_head.num_layers = layers
    cfg.backbone.init_cfg = None
    with torch.device('meta'):
        model = MODELS.build(cfg.backbone)
    assert len(model.layers) == layers
    # Of a layer: 12 width^2 of weights and 13 widths of biases and norms.
    assert sum(p.numel() for p in model.layers.parameters()) == layers * (12 * 384**2 + 13 * 384)
    assert MODELS.build(cfg.cam_head).map_names[-1] == f'first_{layers}'


def published_iteration(labels):
    """One training iteration on Conformer, two images, the second of which has padding below."""
    MessageHub.get_current_instance().update_info_dict(dict(epoch=2))
    cfg = Config.fromfile(REPO / 'configs/aream/aream_conformer-s_voc.py').model
    cfg.backbone.update(arch=dict(embed_dims=WIDTH, depths=6, num_heads=HEADS, channel_ratio=1), drop_path_rate=0.,
                        init_cfg=None)
    cfg.cam_head.update(num_classes=NUM_CLASSES, conv_channels=256, token_channels=WIDTH)
    cfg.auxiliary.reactivation.layer_split = 4
    model = MODELS.build(cfg).train()
    network = 'aream-conformer'
    model.load_state_dict(map_keys(official_weights(network), OFFICIAL_LAYOUTS[network]).state_dict)
    samples = [SegDataSample(metainfo=dict(valid_box=box)) for box in ((0, 96, 0, 96), (0, 80, 0, 96))]
    for sample, row in zip(samples, labels):
        sample.set_field(torch.tensor(row), 'gt_label')
    image = wave_image((96, 96)).float()
    return model.loss(torch.cat([image, image.flip(2) * 1.5]), samples)


def test_an_iteration_on_conformer_equals_the_published_one():
    """Numbers of Jessie459/AReAM, fe708c3: losses, and pairs of tokens that are supervised."""
    losses = published_iteration([[1., 0, 1], [0, 1., 0]])
    expected = dict(loss_conv=.6565532684, loss_trans=1.1410282850, loss_affinity=.0513619959, negative_pairs=89.,
                    positive_pairs=95.5)
    for name, value in expected.items():
        assert losses[name].item() == pytest.approx(value, rel=1e-5), name
