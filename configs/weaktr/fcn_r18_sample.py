# Gradient clipping in a plain network of mmseg: ResNet-18 with an FCN head, on the same seeds.
_base_ = './weaktr-retrain_vit-micro_sample.py'
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    _delete_=True,
    _scope_='mmwsss',
    type='EncoderDecoder',
    data_preprocessor=_base_.model.data_preprocessor,
    backbone=dict(type='ResNet', depth=18, norm_cfg=norm_cfg, strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4)),
    decode_head=dict(
        type='FCNHead',
        in_channels=512,
        in_index=3,
        channels=128,
        num_convs=1,
        concat_input=False,
        num_classes=_base_.num_classes + 1,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(type='GradientClippedCrossEntropyLoss', patch_size=28, start_value=1.2)),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
# Nothing here was pretrained.
optim_wrapper = dict(optimizer=dict(lr=1e-3), paramwise_cfg=dict(_delete_=True))
