# ToCo's backbone and decoder, trained on the masks of trainaug: the full supervision of the paper's Table 3. The paper
# does not say how it was trained; schedule and batch are those of ToCo.
_base_ = [
    '../_base_/models/toco_vit-b.py', '../_base_/datasets/voc_pseudo.py', '../_base_/schedules/toco_20k.py',
    '../_base_/default_runtime.py'
]
crop_size = (448, 448)
model = dict(
    _delete_=True,
    _scope_='mmwsss',
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=crop_size),
    backbone=dict(
        type='AttentionViT',
        arch='deit-base',
        img_size=224,
        patch_size=16,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='timm+https://dl.fbaipublicfiles.com/deit/deit_base_patch16_224-b5f2ef4d.pth')),
    decode_head=dict(
        type='LargeFOVHead',
        in_channels=768,
        channels=512,
        dilation=5,
        num_classes=21,
        loss_decode=dict(type='CrossEntropyLoss')),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
pseudo_label_dir = 'data/VOCdevkit/VOC2012/SegmentationClassAug'  # masks, here
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(2048, 512), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs')
]
train_dataloader = dict(batch_size=4, dataset=dict(pseudo_label_dir=pseudo_label_dir, pipeline=train_pipeline))
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=crop_size, keep_ratio=False),
    dict(type='LoadAnnotations'),
    dict(type='mmwsss.PackWSSSInputs')
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
