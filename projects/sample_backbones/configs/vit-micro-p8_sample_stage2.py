# Goes on from vit-micro-p8_sample with larger pictures of smaller objects, sized as in the sample set (see README.md).
_base_ = './vit-micro-p8_sample.py'
data_root = 'data/sample_pretrain_stage2/'
load_from = 'work_dirs/vit-micro-p8_sample/iter_4000.pth'
max_iters = 1000
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmpretrain.RandomCrop', crop_size=96),
    dict(type='mmpretrain.RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='mmpretrain.PackInputs'),
]
train_dataloader = dict(batch_size=24, dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root))
custom_hooks = [dict(type='IterationSeedHook')]
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=30),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=False, begin=30, end=max_iters),
]
train_cfg = dict(by_epoch=False, max_iters=max_iters, val_interval=250)
default_hooks = dict(checkpoint=dict(interval=250))
