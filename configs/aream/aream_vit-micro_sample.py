# AReAM on the generated sample set, from the sample backbone: minutes on two cores.
_base_ = [
    '../_base_/models/aream_deit-s.py', '../_base_/datasets/sample.py', '../_base_/pipelines/aream_448.py',
    '../_base_/schedules/aream_45e.py', '../_base_/epoch_runtime.py'
]
crop_size = 112
classes = 8
width = 128
max_epochs = 8
model = dict(
    data_preprocessor=dict(size=(crop_size, crop_size), test_cfg=dict(size_divisor=8)),
    backbone=dict(
        arch=dict(embed_dims=width, num_layers=6, num_heads=4, feedforward_channels=4 * width, _delete_=True),
        img_size=crop_size,
        patch_size=8,
        num_class_tokens=classes,
        # Copies of one token take thousands of iterations to part; noise lets them begin apart.
        class_token_std=0.5,
        drop_path_rate=0.,
        init_cfg=dict(checkpoint='mmwsss://vit-micro-p8_sample')),
    cam_head=dict(num_classes=classes, in_channels=width, num_layers=6),
    # Begins after a third of the epochs; the reach of the refinement shrinks with the images.
    auxiliary=dict(
        reactivation=dict(
            begin=3,
            label_cfg=dict(
                steps=[
                    dict(type='Downscale', factor=2),
                    dict(type='ConstantBackground'),
                    dict(type='Softmax'),
                    dict(type='PixelAdaptiveRefinement', dilations=(1, 2, 4, 6))
                ]))),
    # Table I's first two rows come from one network: its maps without and with affinity.
    test_cfg=dict(map_names=('cams', 'raw_cams')))
# Images are a third of VOC's in size; a few hundred iterations leave no time to get used to changes of colour.
train_pipeline = _base_.aream_train_pipeline
train_pipeline[1].update(ratio_range=(0.6, 0.9))
train_pipeline[3].update(prob=0.3)
train_pipeline[4].update(crop_size=crop_size)
train_dataloader = dict(
    batch_size=8, drop_last=True, sampler=dict(type='EpochSampler'), dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.aream_val_pipeline))
test_dataloader = val_dataloader
val_evaluator = [
    dict(type='CAMMetric', threshold=0.4, prefix='cam'),
    dict(type='CAMMetric', threshold=0.4, prefix='cam', field='raw_cams', name='raw'),
    dict(type='ImageMAP', prefix='cls')
]
test_evaluator = val_evaluator
optim_wrapper = dict(optimizer=dict(lr=6e-4))
param_scheduler = [dict(type='LaggedCosineLR', by_epoch=True, warmup=1, warmup_lr=1e-5, min_lr=1e-5, lag=0)]
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
default_hooks = dict(checkpoint=dict(interval=2), logger=dict(interval=25))
