# TransCAM on the generated sample set, on a small Conformer: minutes on two cores.
_base_ = [
    '../_base_/models/transcam_conformer-s.py', '../_base_/datasets/sample.py', '../_base_/pipelines/transcam_512.py',
    '../_base_/schedules/transcam_20e.py', '../_base_/epoch_runtime.py'
]
crop_size = 112
classes = 8
width = 128
model = dict(
    data_preprocessor=dict(size=(crop_size, crop_size)),
    backbone=dict(
        arch=dict(embed_dims=width, depths=6, num_heads=4, channel_ratio=0.5, _delete_=True),
        stem_stride=2,
        drop_path_rate=0.,
        init_cfg=dict(_delete_=True, type='Pretrained', checkpoint='mmwsss://conformer-micro_sample')),
    cam_head=dict(num_classes=classes, conv_channels=128, token_channels=width),
    test_cfg=dict(cams=dict(sizes=((56, 56), (112, 112), (168, 168)), divisor=8)))
# Images are a third of VOC's in size, and so are the crop and the range of long sides: 96 to 144.
train_pipeline = _base_.transcam_train_pipeline
train_pipeline[1].update(scale=(144, 144), ratio_range=(96 / 144, 145 / 144))
train_pipeline[4].update(crop_size=crop_size)
train_dataloader = dict(
    batch_size=8, drop_last=True, sampler=dict(type='EpochSampler'), dataset=dict(pipeline=train_pipeline))
val_evaluator = [dict(type='CAMMetric', threshold=_base_.model.test_cfg.threshold, prefix='cam')]
test_evaluator = val_evaluator
max_epochs = 6
optim_wrapper = dict(optimizer=dict(lr=5e-4))
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
default_hooks = dict(checkpoint=dict(interval=2), logger=dict(interval=25))
