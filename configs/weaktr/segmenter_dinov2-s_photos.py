# The second stage on your own photographs: a segmentor learns from pseudo labels, then needs no tags.
# ViT-S/14 of DINOv2's architecture with a convolution over its patches (docs/photographs.md).
_base_ = [
    '../_base_/models/dinov2-s.py', '../_base_/datasets/photos.py', '../_base_/schedules/photos_adamw.py',
    '../_base_/epoch_runtime.py'
]
crop_size = (224, 224)
pseudo_label_dir = 'work_dirs/photos/pseudo_labels'
model = dict(
    _scope_='mmwsss',
    type='Segmenter',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=crop_size),
    backbone=dict(_base_.dinov2_s_backbone),
    decode_head=dict(
        type='FCNHead',
        in_channels=384,
        in_index=-1,
        channels=256,
        num_convs=1,
        concat_input=False,
        # Does not depend on the number of images or processes; SyncBN does not work with processes on a CPU.
        norm_cfg=dict(type='GN', num_groups=32),
        align_corners=False,
        num_classes=_base_.num_classes + 1,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(896, 224), ratio_range=(0.8, 1.6), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.9),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackWSSSInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(896, 280), keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='mmwsss.PackWSSSInputs')
]
train_dataloader = dict(
    batch_size=8,
    drop_last=True,
    sampler=dict(type='EpochSampler'),
    dataset=dict(
        _delete_=True,
        type='PseudoLabelDataset',
        pseudo_label_dir=pseudo_label_dir,
        seed=0,
        pipeline=train_pipeline,
        dataset=dict(
            type='PhotoDataset',
            classes='classes.txt',
            data_root=_base_.data_root,
            data_prefix=dict(img_path='images'),
            ann_file='train.txt')))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
optim_wrapper = dict(
    optimizer=dict(lr=3e-5),
    paramwise_cfg=dict(
        custom_keys=dict(
            cls_token=dict(decay_mult=0.), pos_embed=dict(decay_mult=0.), decode_head=dict(lr_mult=20.))))
max_epochs = 8
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
default_hooks = dict(logger=dict(interval=10))
tta_pipeline = test_pipeline
tta_model = dict(type='MultiScaleTTA', scales=(1.0, 1.25), flip=True, flip_fusion='mean', scale_fusion='mean',
                 probabilities=True)
