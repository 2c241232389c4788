# DeepLab-V1 on a narrow Wide-ResNet-38, on the generated sample set. Where the labels come from: README.md.
_base_ = [
    '../_base_/models/deeplabv1_wr38.py', '../_base_/datasets/sample_pseudo.py', '../_base_/schedules/deeplabv1_79k.py',
    '../_base_/default_runtime.py'
]
pseudo_label_dir = 'work_dirs/psa_wr38-micro_sample/pseudo_labels'
crop_size = (112, 112)
max_iters = 500
model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(
        base_channels=8,
        drop_rates=(0.1, 0.1),
        init_cfg=dict(type='Pretrained', checkpoint='mmwsss://wr38-micro_sample')),
    decode_head=dict(
        in_channels=512,
        channels=128,
        # A third of the crop, as 12 cells are of 321 pixels.
        dilation=4,
        num_classes=_base_.num_classes + 1,
        # Most pixels are background. Plain cross-entropy predicts only background for a thousand iterations.
        loss_decode=dict(_delete_=True, type='BalancedCrossEntropyLoss', across_processes=True)))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomScale', ratio_range=(0.7, 1.4), backend='cv2'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='PackWSSSInputs')
]
train_dataloader = dict(batch_size=8, dataset=dict(pseudo_label_dir=pseudo_label_dir, pipeline=train_pipeline))
optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=1e-3, weight_decay=0.01), paramwise_cfg=None)
param_scheduler = [dict(type='WarmupPolyLR', by_epoch=False, warmup=25, power=0.9)]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(checkpoint=dict(interval=100), logger=dict(interval=25))
