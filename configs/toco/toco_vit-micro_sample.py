# ToCo on the generated sample set: what the README's first command trains, in minutes on two cores.
_base_ = [
    '../_base_/models/toco_vit-b.py', '../_base_/datasets/sample.py', '../_base_/pipelines/toco_448.py',
    '../_base_/schedules/toco_20k.py', '../_base_/default_runtime.py'
]
crop_size = 112
classes = 8
width = 128
model = dict(
    data_preprocessor=dict(size=(crop_size, crop_size)),
    backbone=dict(
        arch=dict(embed_dims=width, num_layers=6, num_heads=4, feedforward_channels=4 * width, _delete_=True),
        img_size=64,
        patch_size=8,
        # Pretrained by projects/sample_backbones/configs/vit-micro-p8_sample.py, as VOC's backbones are on ImageNet.
        init_cfg=dict(checkpoint='mmwsss://vit-micro-p8_sample')),
    cam_head=dict(num_classes=classes, in_channels=width, aux_layer=-2),
    decode_head=dict(
        num_classes=classes + 1,
        in_channels=width,
        channels=128,
        dilation=2,
        loss_decode=dict(across_processes=True)),
    projector=dict(in_channels=width, hidden_channels=512, bottleneck_channels=128, out_channels=256),
    # The reach of the refinement shrinks with the images.
    refiner=dict(dilations=(1, 2, 4, 6)),
    # Several processes count pairs and pixels together: the number of processes does not change the result.
    loss_ptc=dict(across_processes=True),
    # First only classification, as on COCO: its iterations cost a quarter, and maps mean something afterwards.
    train_cfg=dict(
        local_crop_size=32,
        phases=[
            dict(begin=0, off=('ptc', 'ctc', 'seg', 'reg')),
            dict(begin=150, off=('seg', 'reg')),
            dict(begin=170)
        ]))

# Images are a third of VOC's in size, and so are blur and the range of scales; a few hundred iterations leave no time
# to get used to changes of colour, which are rarer here.
train_pipeline = _base_.toco_train_pipeline
train_pipeline[1].update(crop_size=crop_size, scale_range=(0.6, 0.9))
for view in ('main', 'local', 'global2'):
    train_pipeline[1][view][0].update(prob=0.3)
    train_pipeline[1][view][1].update(prob=0.05)
    train_pipeline[1][view][2].update(magnitude_range=(0.1, 0.6))
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
val_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(160, 160), keep_ratio=False),
    dict(type='LoadAnnotations'),
    dict(type='PackWSSSInputs')
]
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=val_pipeline))
val_evaluator = [
    dict(type='CheckedIoUMetric', iou_metrics=['mIoU'], prefix='seg'),
    dict(type='CAMMetric', threshold=0.5, prefix='cam'),
    dict(type='CAMMetric', threshold=0.5, prefix='cam', field='aux_cams', name='aux')
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
