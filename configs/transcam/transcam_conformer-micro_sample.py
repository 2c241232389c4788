# TransCAM on the generated sample set, on a small Conformer: minutes on two cores.
_base_ = [
    '../_base_/models/transcam_conformer-s.py', '../_base_/datasets/sample.py', '../_base_/pipelines/transcam_512.py',
    '../_base_/schedules/transcam_20e.py', '../_base_/epoch_runtime.py'
]
crop_size = 112
width = 128
model = dict(
    data_preprocessor=dict(size=(crop_size, crop_size)),
    backbone=dict(
        arch=dict(embed_dims=width, depths=6, num_heads=4, channel_ratio=0.5, _delete_=True),
        stem_stride=2,
        drop_path_rate=0.,
        init_cfg=dict(_delete_=True, type='Pretrained', checkpoint='mmwsss://conformer-micro_sample')),
    cam_head=dict(num_classes=_base_.num_classes, conv_channels=128, token_channels=width),
    test_cfg=dict(cams=dict(sizes=((56, 56), (112, 112), (168, 168)), divisor=8)))
# The images have a third of the size of VOC images, so the crop and the range of long sides (96 to 144) are smaller.
resize = dict(_base_.transcam_resize, scale=(144, 144), ratio_range=(96 / 144, 145 / 144))
crop = dict(_base_.transcam_crop, crop_size=crop_size)
train_pipeline = [
    dict(type='LoadImageFromFile'), resize, _base_.transcam_flip, _base_.transcam_color_jitter, crop,
    dict(type='PackWSSSInputs')
]
train_dataloader = dict(
    batch_size=8, drop_last=True, sampler=dict(type='EpochSampler'), dataset=dict(pipeline=train_pipeline))
val_evaluator = [dict(type='CAMMetric', threshold=_base_.model.test_cfg.threshold, prefix='cam')]
test_evaluator = val_evaluator
max_epochs = 6
optim_wrapper = dict(optimizer=dict(lr=5e-4))
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
default_hooks = dict(checkpoint=dict(interval=2), logger=dict(interval=25))
