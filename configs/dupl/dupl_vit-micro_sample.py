# DuPL on the generated sample set.
_base_ = [
    '../_base_/models/dupl_vit-b.py', '../_base_/models/sample_vit.py', '../_base_/datasets/sample.py',
    '../_base_/pipelines/dupl_448.py', '../_base_/schedules/toco_20k.py', '../_base_/default_runtime.py'
]
crop_size = 112
width = _base_.sample_vit_arch.embed_dims
max_iters = 600
label_steps = _base_.sample_label_cfg.steps
model = dict(
    data_preprocessor=dict(size=(crop_size, crop_size)),
    backbone=dict(
        arch=dict(_base_.sample_vit_arch, _delete_=True),
        img_size=64,
        patch_size=8,
        # Pretrained by projects/sample_backbones/configs/vit-micro-p8_sample.py, as VOC's backbones are on ImageNet.
        init_cfg=dict(checkpoint=_base_.sample_vit_checkpoint)),
    cam_head=dict(num_classes=_base_.num_classes, in_channels=width, aux_layer=-2),
    decode_head=dict(
        num_classes=_base_.num_classes + 1,
        in_channels=width,
        channels=128,
        dilation=2,
        loss_decode=dict(group_size=None, across_processes=True)),
    label_cfg=dict(steps=[label_steps[0], dict(type='ImageBackground'), *label_steps[2:]]),
    test_cfg=dict(pseudo_label_par=dict(_base_.sample_par, _delete_=True)),
    # Several processes count pairs and pixels together: the number of processes does not change the result.
    loss_ptc=dict(group_size=None, across_processes=True),
    loss_reg=dict(group_size=None, across_processes=True),
    noise_filter=dict(min_pixels=60),  # of an image with a sixteenth of the pixels
    # First only classification, as on COCO: its iterations cost a quarter, and maps mean something afterwards.
    train_cfg=dict(
        high_kept=(),
        high_decay=(170, max_iters),
        noise_filter_begin=300,
        phases=[
            dict(begin=0, off=('ptc', 'dis', 'seg', 'reg')),
            dict(begin=150, off=('seg', 'reg')),
            dict(begin=170, off=('reg', )),
            dict(begin=300)
        ]))

# The images have a third of the size of VOC images, so the blur and the range of scales are smaller. Color jitter and
# grayscale are rarer, because the training is short.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomScale', ratio_range=(0.6, 0.9)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomPlaceCrop', crop_size=crop_size),
    dict(_base_.toco_color_jitter, prob=0.3),
    dict(_base_.toco_grayscale, prob=0.05),
    dict(_base_.toco_blur, magnitude_range=(0.1, 0.6), prob=1.0),
    dict(type='AddViews', perturbed=[_base_.dupl_strong_colors]),
    dict(type='PackWSSSInputs')
]
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
test_pipeline = [
    dict(type='LoadImageFromFile', to_float32=True),
    dict(type='Resize', scale=(160, 160), keep_ratio=False),
    dict(type='LoadAnnotations'),
    dict(type='mmwsss.PackWSSSInputs')
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
threshold = _base_.model.test_cfg.threshold
val_evaluator = [
    dict(type='CheckedIoUMetric', iou_metrics=['mIoU'], prefix='seg'),
    dict(type='CAMMetric', threshold=threshold, prefix='cam'),
    dict(type='CAMMetric', threshold=threshold, prefix='cam', field='aux_cams', name='aux')
]
test_evaluator = val_evaluator
tta_pipeline = _base_.test_pipeline

optim_wrapper = dict(
    optimizer=dict(lr=6e-4), paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=2.))))
param_scheduler = [
    dict(type='WarmupPolyLR', by_epoch=False, total=max_iters, warmup=30, warmup_ratio=1e-6, power=0.9)
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(checkpoint=dict(interval=100), logger=dict(interval=20))
