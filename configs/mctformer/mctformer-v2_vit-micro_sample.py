# MCTformer-V2 on the generated sample set, from the sample backbone: minutes on two cores.
_base_ = [
    '../_base_/models/mctformer_deit-s.py', '../_base_/models/sample_vit.py', '../_base_/datasets/sample_deit.py',
    '../_base_/schedules/deit_60e.py', '../_base_/epoch_runtime.py'
]
width = _base_.sample_vit_arch.embed_dims
threshold = 0.3
model = dict(
    data_preprocessor=dict(size=(112, 112)),
    backbone=dict(
        arch=dict(_base_.sample_vit_arch, _delete_=True),
        img_size=64,
        patch_size=8,
        num_class_tokens=_base_.num_classes,
        # Copies of one token need thousands of iterations to diverge. Noise makes them different from the start.
        class_token_std=0.5,
        drop_path_rate=0.,
        init_cfg=dict(checkpoint=_base_.sample_vit_checkpoint)),
    # Of this small network's six layers the first two attend locally, the others everywhere; the README has a table.
    cam_head=dict(num_classes=_base_.num_classes, in_channels=width, affinity_layers=[0, 1]),
    # As in the paper, chosen on masks of training images.
    test_cfg=dict(threshold=threshold))
val_evaluator = [dict(type='CAMMetric', threshold=threshold, prefix='cam'), dict(type='ImageMAP', prefix='cls')]
test_evaluator = val_evaluator
max_epochs = 8
optim_wrapper = dict(optimizer=dict(lr=6e-4))
param_scheduler = [dict(type='LaggedCosineLR', by_epoch=True, warmup=1, warmup_lr=1e-5, min_lr=1e-5, lag=0)]
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
default_hooks = dict(checkpoint=dict(interval=2), logger=dict(interval=25))
