# Pretrains the small ViT of the sample configs on the generated classification set (see README.md).
_base_ = ['../../../configs/_base_/default_runtime.py']
custom_imports = dict(
    imports=[
        'projects.sample_backbones.token_pool_head', 'projects.sample_backbones.optimizers',
        'projects.sample_backbones.mimetic_init'
    ],
    allow_failed_imports=False)

data_root = 'data/sample_pretrain/'
num_classes = 94
batch_size = 32
max_iters = 4000

model = dict(
    type='mmpretrain.ImageClassifier',
    data_preprocessor=dict(
        type='mmpretrain.ClsDataPreprocessor',
        num_classes=num_classes,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True),
    backbone=dict(
        type='mmpretrain.VisionTransformer',
        arch=dict(embed_dims=128, num_layers=6, num_heads=4, feedforward_channels=512),
        img_size=64,
        patch_size=8,
        final_norm=True,
        out_type='raw'),
    head=dict(type='TokenPoolClsHead', num_classes=num_classes, in_channels=128, cal_acc=True))

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmpretrain.RandomCrop', crop_size=48),
    dict(type='mmpretrain.RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='mmpretrain.PackInputs'),
]
val_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmpretrain.PackInputs'),
]
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=1,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='mmpretrain.CustomDataset', data_root=data_root, data_prefix='train', pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=94,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='mmpretrain.CustomDataset', data_root=data_root, data_prefix='val', pipeline=val_pipeline))
val_evaluator = dict(type='mmpretrain.Accuracy', topk=(1, 5))

optim_wrapper = dict(
    type='CPUBFloat16OptimWrapper',
    optimizer=dict(type='MuonAdamW', lr=2e-3, betas=(0.9, 0.98), weight_decay=0.05),
    clip_grad=dict(max_norm=1.0),
    paramwise_cfg=dict(
        norm_decay_mult=0.0, bias_decay_mult=0.0, custom_keys={'cls_token': dict(decay_mult=0.0),
                                                               'pos_embed': dict(decay_mult=0.0)}))
warmup = 100
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=warmup),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=False, begin=warmup, end=max_iters),
]
custom_hooks = [dict(type='IterationSeedHook'), dict(type='MimeticInitHook')]
train_cfg = dict(by_epoch=False, max_iters=max_iters, val_interval=500)
val_cfg = dict()

default_hooks = dict(
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=500, max_keep_ckpts=2, save_optimizer=True),
    visualization=dict(_delete_=True, type='mmpretrain.VisualizationHook', enable=False))
visualizer = dict(
    _delete_=True, type='mmpretrain.UniversalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
