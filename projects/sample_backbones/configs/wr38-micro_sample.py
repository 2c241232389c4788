# Pretrains the narrow Wide-ResNet-38 of the sample configs on the generated classification set (see README.md).
_base_ = './vit-micro-p8_sample.py'
max_iters = 1500
model = dict(
    backbone=dict(
        _delete_=True,
        type='WideResNet38',
        base_channels=8,
        drop_rates=(0., 0.),
        frozen_stages=0,
        norm_cfg=dict(type='BN', eps=1e-5),
        norm_eval=False),
    neck=dict(type='mmpretrain.GlobalAveragePooling'),
    head=dict(_delete_=True, type='mmpretrain.LinearClsHead', num_classes=94, in_channels=512, cal_acc=True))
custom_imports = dict(
    imports=['mmwsss.models.backbones', 'projects.sample_backbones.optimizers'], allow_failed_imports=False)
optim_wrapper = dict(optimizer=dict(min_dim=16, convolutions=True))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=False, begin=100, end=max_iters),
]
custom_hooks = [dict(type='IterationSeedHook')]
train_cfg = dict(max_iters=max_iters)
