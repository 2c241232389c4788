# The first stage on the generated sample set, from the sample backbone: minutes on two cores.
_base_ = [
    '../_base_/models/weaktr_deit-s.py', '../_base_/models/sample_vit.py', '../_base_/datasets/sample_deit.py',
    '../_base_/schedules/deit_60e.py', '../_base_/epoch_runtime.py'
]
width = _base_.sample_vit_arch.embed_dims
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
        # Pretrained by projects/sample_backbones/configs/vit-micro-p8_sample.py, as VOC's backbones are on ImageNet.
        init_cfg=dict(checkpoint=_base_.sample_vit_checkpoint)),
    cam_head=dict(num_classes=_base_.num_classes, in_channels=width, num_layers=6, num_heads=4))
threshold = _base_.model.test_cfg.threshold
val_evaluator = [dict(type='CAMMetric', threshold=threshold, prefix='cam'), dict(type='ImageMAP', prefix='cls')]
test_evaluator = val_evaluator
max_epochs = 6
optim_wrapper = dict(
    optimizer=dict(lr=6e-4),
    # The fusion starts with all weights near 0.5 and gets a small gradient: in so few iterations it needs larger steps.
    paramwise_cfg=dict(custom_keys=dict(attention_fusion=dict(lr_mult=10.))))
param_scheduler = [dict(type='LaggedCosineLR', by_epoch=True, warmup=1, warmup_lr=1e-5, min_lr=1e-5, lag=0)]
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
default_hooks = dict(checkpoint=dict(interval=2), logger=dict(interval=25))
