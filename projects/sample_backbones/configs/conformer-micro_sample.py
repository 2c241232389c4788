# Pretrains the small Conformer of the sample configs on the generated classification set (see README.md).
_base_ = './vit-micro-p8_sample.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='AttentionConformer',
        arch=dict(embed_dims=128, depths=6, num_heads=4, channel_ratio=0.5),
        stem_stride=2),
    # One classifier a branch; both losses count.
    head=dict(
        _delete_=True, type='mmpretrain.ConformerHead', num_classes=94, in_channels=(128, 128), cal_acc=True))
custom_imports = dict(
    imports=[
        'mmwsss.models.backbones', 'projects.sample_backbones.optimizers', 'projects.sample_backbones.mimetic_init'
    ],
    allow_failed_imports=False)
max_iters = 1200
optim_wrapper = dict(optimizer=dict(min_dim=32, convolutions=True))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=False, begin=100, end=max_iters),
]
train_cfg = dict(max_iters=max_iters)
