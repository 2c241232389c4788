# The second stage on the generated sample set: a segmentor of mmseg's own parts on the labels that
#   python tools/make_pseudo_labels.py configs/mctformer/mctformer-v2_vit-micro_sample.py CHECKPOINT \
#       --out-dir work_dirs/mctformer-v2_vit-micro_sample/pseudo_labels
# writes. Any mmseg model can be used instead.
_base_ = [
    '../_base_/models/sample_vit.py', '../_base_/datasets/sample.py', '../_base_/default_runtime.py'
]
pseudo_label_dir = 'work_dirs/mctformer-v2_vit-micro_sample/pseudo_labels'
crop_size = (112, 112)
width = _base_.sample_vit_arch.embed_dims
model = dict(
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
        arch=_base_.sample_vit_arch,
        img_size=64,
        patch_size=8,
        norm_cfg=dict(type='LN', eps=1e-6),
        init_cfg=dict(type='Pretrained', checkpoint=_base_.sample_vit_checkpoint)),
    decode_head=dict(
        type='FCNHead',
        in_channels=width,
        in_index=0,
        channels=width,
        num_convs=2,
        concat_input=False,
        num_classes=_base_.num_classes + 1,
        norm_cfg=dict(type='BN'),
        align_corners=False,
        # Most pixels are background. Plain cross-entropy predicts only background for a thousand iterations.
        loss_decode=dict(type='BalancedCrossEntropyLoss', across_processes=True)),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(1280, 160), ratio_range=(0.7, 1.4), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs')
]
train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        _delete_=True,
        type='PseudoLabelDataset',
        pseudo_label_dir=pseudo_label_dir,
        seed=0,
        pipeline=train_pipeline,
        # Image labels are not needed, because the pseudo labels contain the classes.
        dataset=_base_.train_dataloader.dataset.dataset))
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(160, 160), keep_ratio=False),
    dict(type='LoadAnnotations'),
    dict(type='mmwsss.PackWSSSInputs')
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
max_iters = 600
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-4, weight_decay=0.01),
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=5.))))
param_scheduler = [
    dict(type='WarmupPolyLR', by_epoch=False, total=max_iters, warmup=25, warmup_ratio=1e-6, power=0.9)
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(checkpoint=dict(interval=100), logger=dict(interval=25))
