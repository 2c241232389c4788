# Plain CAM on the generated sample set, from the sample backbone: minutes on two cores.
_base_ = [
    '../_base_/models/cam_resnet50.py', '../_base_/models/sample_vit.py', '../_base_/datasets/sample_deit.py',
    '../_base_/schedules/deit_60e.py', '../_base_/epoch_runtime.py'
]
width = _base_.sample_vit_arch.embed_dims
model = dict(
    data_preprocessor=dict(size=(112, 112)),
    backbone=dict(
        _delete_=True,
        type='AttentionViT',
        arch=_base_.sample_vit_arch,
        img_size=64,
        patch_size=8,
        init_cfg=dict(type='Pretrained', checkpoint=_base_.sample_vit_checkpoint)),
    cam_head=dict(num_classes=_base_.num_classes, in_channels=width))
threshold = _base_.model.test_cfg.threshold
val_evaluator = [dict(type='CAMMetric', threshold=threshold, prefix='cam'), dict(type='ImageMAP', prefix='cls')]
test_evaluator = val_evaluator
max_epochs = 8
optim_wrapper = dict(optimizer=dict(lr=6e-4))
param_scheduler = [dict(type='LaggedCosineLR', by_epoch=True, warmup=1, warmup_lr=1e-5, min_lr=1e-5, lag=0)]
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
default_hooks = dict(checkpoint=dict(interval=2), logger=dict(interval=25))
