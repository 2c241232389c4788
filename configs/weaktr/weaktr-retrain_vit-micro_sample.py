# The second stage on the generated sample set, from the sample backbone. Commands: README.md.
_base_ = [
    '../_base_/models/segmenter_deit-s.py', '../_base_/models/sample_vit.py', '../_base_/datasets/sample.py',
    '../_base_/pipelines/segmenter_480.py', '../_base_/schedules/segmenter_100e.py', '../_base_/epoch_runtime.py'
]
crop_size = (112, 112)
width = _base_.sample_vit_arch.embed_dims
pseudo_label_dir = 'work_dirs/weaktr_vit-micro_sample/pseudo_labels'
model = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], size=crop_size),
    backbone=dict(
        arch=dict(_base_.sample_vit_arch, _delete_=True),
        img_size=112,
        patch_size=8,
        norm_cfg=dict(eps=1e-6),
        drop_path_rate=0.,
        init_cfg=dict(checkpoint=_base_.sample_vit_checkpoint)),
    decode_head=dict(
        in_channels=width,
        channels=width,
        embed_dims=width,
        num_heads=4,
        num_classes=_base_.num_classes + 1,
        # A quarter of the crop, as 120 is of 480.
        loss_decode=dict(patch_size=28)),
    test_cfg=dict(mode='slide', crop_size=crop_size, stride=(72, 72)))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='LoadTrueMask'),
    # Objects fill a tenth of these images, but a quarter of VOC images. Enlarge them and avoid crops without objects;
    # otherwise, cross-entropy predicts only background for thousands of iterations.
    dict(type='RandomResize', scale=(1600, 200), ratio_range=(0.7, 1.4), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.6),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackWSSSInputs')
]
train_dataloader = dict(
    batch_size=8,
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
            metainfo=_base_.metainfo,
            data_root=_base_.data_root,
            # The masks are compared with the pseudo labels, not trained on.
            data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
            ann_file='ImageSets/Segmentation/train.txt')))
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='mmwsss.PackWSSSInputs')
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
max_epochs = 6
optim_wrapper = dict(_delete_=True, type='OptimWrapper', optimizer=dict(type='AdamW', lr=6e-4, weight_decay=0.01),
                     paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.5))))
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
default_hooks = dict(checkpoint=dict(interval=2), logger=dict(interval=25))
custom_hooks = [dict(type='IterationSeedHook'), dict(type='KeptPrecisionHook', interval=25)]
