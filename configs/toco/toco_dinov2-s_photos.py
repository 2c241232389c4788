# ToCo, ViT-S/14 of DINOv2's architecture, your own photographs (docs/photographs.md): class maps and a segmentor in one
# training.
_base_ = [
    '../_base_/models/toco_vit-b.py', '../_base_/models/dinov2-s.py', '../_base_/datasets/photos.py',
    '../_base_/pipelines/toco_448.py', '../_base_/pipelines/photos_168.py', '../_base_/schedules/toco_20k.py',
    '../_base_/default_runtime.py'
]
crop_size = 168
model = dict(
    data_preprocessor=dict(size=(crop_size, crop_size)),
    # If layers up to that of the auxiliary map are trained, all tokens become alike: docs/photographs.md.
    backbone=dict(_base_.dinov2_s_backbone, _delete_=True, frozen_stages=10),
    cam_head=dict(in_channels=384),
    decode_head=dict(in_channels=384, channels=256, dilation=3),
    projector=dict(in_channels=384, hidden_channels=1024, bottleneck_channels=256, out_channels=512),
    # The contrasts begin when the class maps mean something, and the decoder when they are good.
    train_cfg=dict(
        local_crop_size=56,
        ptc_box='scaled',
        final_cam_begin=10**6,  # the auxiliary map is the better one here, so that the decoder learns from it
        phases=[
            dict(begin=0, off=('ptc', 'ctc', 'seg', 'reg')),
            dict(begin=150, off=('seg', 'reg')),
            dict(begin=200)
        ]))
# Color jitter and grayscale are rarer, because the training is short.
color_jitter = dict(_base_.toco_color_jitter, prob=0.3)
grayscale = dict(_base_.toco_grayscale, prob=0.05)
blur = dict(_base_.toco_blur, magnitude_range=(0.1, 1.0))
views = dict(
    _base_.toco_views,
    crop_size=crop_size,
    scale_range=(0.8, 1.2),
    main=[color_jitter, grayscale, dict(blur, prob=0.5)],
    local=[color_jitter, grayscale, dict(blur, prob=0.5)],
    global2=[color_jitter, grayscale, dict(blur, prob=0.1), _base_.toco_solarize])
# The short side becomes 224 pixels, so that a crop shows as much of a large photograph as of a small one.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(672, 224), keep_ratio=True), views,
    dict(type='PackWSSSInputs')
]
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
test_pipeline = _base_.photos_val_pipeline
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
threshold = _base_.model.test_cfg.threshold
val_evaluator = [
    dict(type='CheckedIoUMetric', iou_metrics=['mIoU'], prefix='seg'),
    dict(type='CAMMetric', threshold=threshold, prefix='cam'),
    dict(type='CAMMetric', threshold=threshold, prefix='cam', field='aux_cams', name='aux')
]
test_evaluator = val_evaluator
tta_pipeline = _base_.test_pipeline

# At the published rates, the classifiers learn almost nothing in a few hundred iterations. The tokens of the auxiliary
# one, which are not normalized, are a seventh as large, so that its rate is higher.
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={
            'backbone': dict(lr_mult=0.1),
            'cam_head.classifier': dict(lr_mult=60.),
            'cam_head.aux_classifier': dict(lr_mult=160.),
            'decode_head': dict(lr_mult=20.)
        }))
max_iters = 500
# The published warm-up of 1500 iterations would leave the classifiers untrained.
param_scheduler = [
    dict(type='WarmupPolyLR', by_epoch=False, total=max_iters, warmup=20, warmup_ratio=1e-2, power=0.9)
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(checkpoint=dict(interval=100), logger=dict(interval=10))
