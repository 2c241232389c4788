# AReAM on the generated sample set, from the sample backbone: minutes on two cores.
_base_ = [
    '../_base_/models/aream_deit-s.py', '../_base_/models/sample_vit.py', '../_base_/datasets/sample.py',
    '../_base_/pipelines/aream_448.py', '../_base_/schedules/aream_45e.py', '../_base_/epoch_runtime.py'
]
crop_size = 112
width = _base_.sample_vit_arch.embed_dims
max_epochs = 8
model = dict(
    data_preprocessor=dict(size=(crop_size, crop_size)),
    backbone=dict(
        arch=dict(_base_.sample_vit_arch, _delete_=True),
        img_size=crop_size,
        patch_size=8,
        num_class_tokens=_base_.num_classes,
        # Copies of one token need thousands of iterations to diverge. Noise makes them different from the start.
        class_token_std=0.5,
        drop_path_rate=0.,
        init_cfg=dict(checkpoint=_base_.sample_vit_checkpoint)),
    cam_head=dict(num_classes=_base_.num_classes, in_channels=width, num_layers=6),
    # Begins after a third of the epochs; the reach of the refinement shrinks with the images.
    auxiliary=dict(
        reactivation=dict(
            begin=3,
            label_cfg=_base_.sample_label_cfg)),
    # Table I's first two rows come from one network: its maps without and with affinity.
    test_cfg=dict(map_names=('cams', 'raw_cams'), cams=dict(pad_divisor=8)))
# The images have a third of the size of VOC images. Color jitter is rarer, because the training is short.
scale = dict(_base_.aream_scale, ratio_range=(0.6, 0.9))
color_jitter = dict(_base_.aream_color_jitter, prob=0.3)
crop = dict(_base_.aream_crop, crop_size=crop_size)
train_pipeline = [
    dict(type='LoadImageFromFile'), scale, _base_.aream_flip, color_jitter, crop,
    dict(type='PackWSSSInputs')
]
train_dataloader = dict(
    batch_size=8, drop_last=True, sampler=dict(type='EpochSampler'), dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.aream_val_pipeline))
test_dataloader = val_dataloader
threshold = _base_.model.test_cfg.threshold
val_evaluator = [
    dict(type='CAMMetric', threshold=threshold, prefix='cam'),
    dict(type='CAMMetric', threshold=threshold, prefix='cam', field='raw_cams', name='raw'),
    dict(type='ImageMAP', prefix='cls')
]
test_evaluator = val_evaluator
optim_wrapper = dict(optimizer=dict(lr=6e-4))
param_scheduler = [dict(type='LaggedCosineLR', by_epoch=True, warmup=1, warmup_lr=1e-5, min_lr=1e-5, lag=0)]
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
default_hooks = dict(checkpoint=dict(interval=2), logger=dict(interval=25),
                     trace=dict(type='ReactivationTraceHook', interval=10))
