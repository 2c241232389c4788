"""A small ToCo and a batch for it, of which several test files make examples."""

import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmseg.structures import SegDataSample
from torch.nn import functional as F

from mmwsss.registry import MODELS

from ..helpers import REPO

__all__ = ['CLASSES', 'PATCH', 'SIZE', 'at_iteration', 'batch', 'build', 'model_cfg']

SIZE, PATCH, CLASSES = 64, 8, 6


def model_cfg(**train_cfg):
    """Return the config of ToCo, but narrow and shallow."""
    cfg = Config.fromfile(REPO / 'configs/_base_/models/toco_vit-b.py').model
    cfg.backbone.update(
        arch=dict(embed_dims=32, num_layers=4, num_heads=4, feedforward_channels=64), img_size=32, patch_size=PATCH,
        init_cfg=None)
    cfg.cam_head.update(num_classes=CLASSES, in_channels=32, aux_layer=-2)
    cfg.decode_head.update(in_channels=32, channels=16, dilation=2, num_classes=CLASSES + 1)
    cfg.projector.update(in_channels=32, hidden_channels=24, bottleneck_channels=16, out_channels=20)
    cfg.loss_reg.weight = 1e-3
    cfg.train_cfg.update({**dict(
        local_crop_size=16, num_local_crops=4, phases=[dict(begin=0, off=('seg', 'reg')), dict(begin=10)]),
        **train_cfg})
    return cfg


def build(**train_cfg):
    """Build it in double precision, all weights drawn anew."""
    torch.manual_seed(0)
    model = MODELS.build(model_cfg(**train_cfg)).double()
    for name, param in model.named_parameters():
        if param.requires_grad:
            torch.nn.init.normal_(param, std=0.3 if 'backbone' in name else 0.2)
    model.teacher_projector.load_state_dict(model.projector.state_dict())
    return model


def batch(seeds=(3, 4), box=(6, SIZE, 0, 50)):
    """Return the three views of an image for each seed, up to four, and their samples."""
    torch.manual_seed(1)
    # Smooth random pictures: refinement and crops then have something to follow.
    small = torch.rand(3, len(seeds), 3, 8, 8, dtype=torch.float64)
    main, second, local = (F.interpolate(x, size=SIZE, mode='bicubic') * 4 - 2 for x in small)
    labels = torch.tensor([[1., 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 0], [0, 1, 0, 1, 0, 0], [1, 0, 0, 0, 0, 1]])
    samples = []
    for label, seed in zip(labels, seeds):
        sample = SegDataSample(metainfo=dict(valid_box=box, sample_seed=seed, ori_shape=(50, 70)))
        sample.gt_label = label
        samples.append(sample)
    return dict(main=main, global2=second, local=local), samples


def at_iteration(iteration):
    """Set the iteration that the model finds."""
    MessageHub.get_current_instance().update_info('iter', iteration)
