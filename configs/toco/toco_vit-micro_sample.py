# ToCo on the generated sample set. tools/demo.sh trains it in a few minutes on two cores.
_base_ = [
    '../_base_/models/toco_vit-b.py', '../_base_/models/sample_vit.py', '../_base_/datasets/sample.py',
    '../_base_/pipelines/toco_448.py', '../_base_/schedules/toco_20k.py', '../_base_/default_runtime.py'
]
crop_size = 112
width = _base_.sample_vit_arch.embed_dims
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
    projector=dict(in_channels=width, hidden_channels=512, bottleneck_channels=128, out_channels=256),
    label_cfg=_base_.sample_label_cfg,
    test_cfg=dict(pseudo_label_par=dict(_base_.sample_par, _delete_=True)),
    # Several processes count pairs and pixels together: the number of processes does not change the result.
    loss_ptc=dict(group_size=None, across_processes=True),
    # First only classification, as on COCO: its iterations cost a quarter, and maps mean something afterwards.
    train_cfg=dict(
        local_crop_size=32,
        phases=[
            dict(begin=0, off=('ptc', 'ctc', 'seg', 'reg')),
            dict(begin=150, off=('seg', 'reg')),
            dict(begin=170)
        ]))

# The images have a third of the size of VOC images, so the blur and the range of scales are smaller. Color jitter and
# grayscale are rarer, because the training is short.
color_jitter = dict(_base_.toco_color_jitter, prob=0.3)
grayscale = dict(_base_.toco_grayscale, prob=0.05)
blur = dict(_base_.toco_blur, magnitude_range=(0.1, 0.6))
views = dict(
    _base_.toco_views,
    crop_size=crop_size,
    scale_range=(0.6, 0.9),
    main=[color_jitter, grayscale, dict(blur, prob=1.0)],
    local=[color_jitter, grayscale, dict(blur, prob=0.5)],
    global2=[color_jitter, grayscale, dict(blur, prob=0.1), _base_.toco_solarize])
train_pipeline = [dict(type='LoadImageFromFile'), views, dict(type='PackWSSSInputs')]
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

max_iters = 600
optim_wrapper = dict(
    optimizer=dict(lr=6e-4),
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=2.), projector=dict(lr_mult=2.))))
param_scheduler = [
    dict(type='WarmupPolyLR', by_epoch=False, total=max_iters, warmup=30, warmup_ratio=1e-6, power=0.9)
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(checkpoint=dict(interval=100), logger=dict(interval=20))
