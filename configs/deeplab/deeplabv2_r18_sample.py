# DeepLab-V2 with ResNet-18 in place of ResNet-101, on the generated sample set. Where the labels come from: README.md.
_base_ = [
    '../_base_/models/deeplabv2_r101.py', '../_base_/datasets/sample_pseudo.py', '../_base_/schedules/deeplabv2_20k.py',
    '../_base_/default_runtime.py'
]
pseudo_label_dir = 'work_dirs/psa_wr38-micro_sample/pseudo_labels'
crop_size = (112, 112)
max_iters = 1000
model = dict(
    data_preprocessor=dict(size=crop_size),
    # Nothing is pretrained, so nothing is frozen.
    backbone=dict(depth=18, base_channels=32, stem_channels=32, norm_cfg=dict(requires_grad=True), norm_eval=False,
                  init_cfg=None),
    decode_head=dict(
        in_channels=256,
        # A third of those for crops of 321 pixels.
        dilations=(2, 4, 6, 8),
        num_classes=_base_.num_classes + 1,
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
optim_wrapper = dict(
    accumulative_counts=1,
    optimizer=dict(_delete_=True, type='AdamW', lr=1e-3, weight_decay=0.01),
    paramwise_cfg=None)
param_scheduler = [dict(type='WarmupPolyLR', by_epoch=False, warmup=25, power=0.9)]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(checkpoint=dict(interval=100), logger=dict(interval=25))
