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
custom_imports = dict(imports=['mmwsss.models.backbones', 'mmwsss.engine.optimizers'], allow_failed_imports=False)
custom_hooks = [dict(type='IterationSeedHook')]
