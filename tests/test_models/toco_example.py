"""A small ToCo and a batch for it, of which several test files make examples."""

import torch
from mmengine.config import ConfigDict
from mmengine.logging import MessageHub
from mmseg.structures import SegDataSample
from torch.nn import functional as F

from mmwsss.registry import MODELS

__all__ = ['CLASSES', 'PATCH', 'SIZE', 'at_iteration', 'batch', 'build', 'model_cfg']

SIZE, PATCH, CLASSES = 64, 8, 6
VIEWS = dict(scales=(1.0, 0.5, 1.5), flip=True, flip_fusion='max', scale_fusion='sum', normalize='minmax')


def model_cfg(**train_cfg):
    return dict(
        type='ToCo',
        data_preprocessor=dict(
            type='MultiViewPreProcessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True,
            size=(SIZE, SIZE)),
        backbone=dict(
            type='AttentionViT', arch=dict(embed_dims=32, num_layers=4, num_heads=4, feedforward_channels=64),
            img_size=32, patch_size=PATCH, freeze_pos_embed=True),
        cam_head=dict(type='ToCoHead', num_classes=CLASSES, in_channels=32, aux_layer=-2),
        decode_head=dict(
            type='LargeFOVHead', in_channels=32, channels=16, dilation=2, num_classes=CLASSES + 1,
            loss_decode=dict(type='BalancedCrossEntropyLoss')),
        projector=dict(
            type='ProjectionHead', in_channels=32, hidden_channels=24, bottleneck_channels=16, out_channels=20),
        refiner=dict(type='PixelAdaptiveRefinement', num_iters=2),
        loss_ptc=dict(type='PatchTokenContrastLoss'),
        loss_ctc=dict(type='ClassTokenContrastLoss'),
        loss_reg=dict(type='DenseEnergyLoss', weight=1e-3, sigma_rgb=15, sigma_xy=100, scale_factor=0.5),
        train_cfg={**dict(
            cams=VIEWS, low=0.25, high=0.7, local_crop_size=16, num_local_crops=4,
            loss_weights=dict(cls=1.0, aux=1.0, ptc=0.2, ctc=0.5, seg=0.1, reg=0.05),
            phases=[dict(begin=0, off=('seg', 'reg')), dict(begin=10)]), **train_cfg},
        test_cfg=dict(mode='whole', cams=VIEWS, threshold=0.5))


def build(**train_cfg):
    torch.manual_seed(0)
    model = MODELS.build(ConfigDict(model_cfg(**train_cfg))).double()
    for name, param in model.named_parameters():
        if param.requires_grad:
            torch.nn.init.normal_(param, std=0.3 if 'backbone' in name else 0.2)
    model.teacher_projector.load_state_dict(model.projector.state_dict())
    return model


def batch(seeds=(3, 4), box=(6, SIZE, 0, 50)):
    torch.manual_seed(1)
    # Smooth random pictures: refinement and crops then have something to follow.
    small = torch.rand(3, 2, 3, 8, 8, dtype=torch.float64)
    main, second, local = (F.interpolate(x, size=SIZE, mode='bicubic') * 4 - 2 for x in small)
    labels = torch.tensor([[1., 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 0]])
    samples = []
    for label, seed in zip(labels, seeds):
        sample = SegDataSample(metainfo=dict(valid_box=box, sample_seed=seed, ori_shape=(50, 70)))
        sample.gt_label = label
        samples.append(sample)
    return dict(main=main, global2=second, local=local), samples


def at_iteration(iteration):
    MessageHub.get_current_instance().update_info('iter', iteration)
