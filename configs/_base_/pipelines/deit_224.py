# DeiT's augmentation as MCTformer, WeakTr and AReAM train with it: no mixup, no color jitter.
crop_size = 224
# The channel order is BGR, as for all images in a pipeline.
_mean, _std = [103.53, 116.28, 123.675], [57.375, 57.12, 58.395]
deit_train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='mmpretrain.RandomResizedCrop',
        scale=crop_size,
        crop_ratio_range=(0.08, 1.0),
        aspect_ratio_range=(3 / 4, 4 / 3),
        interpolation='bicubic',
        backend='pillow'),
    dict(type='RandomFlip', prob=0.5),
    # timm's rand-m9-mstd0.5-inc1: two of 15 operations, each with probability 0.5.
    dict(
        type='RandAugment',
        _scope_='mmpretrain',  # the scope of its operations
        policies='timm_increasing',
        num_policies=2,
        magnitude_level=9,
        magnitude_std=0.5,
        total_level=10,
        hparams=dict(pad_val=[104, 116, 124], interpolation='bicubic')),
    dict(type='NoiseErasing', mean=_mean, std=_std, prob=0.25),
    dict(type='PackWSSSInputs')
]
# CAMs are evaluated at the original size of the images, with batch size 1.
deit_val_pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='mmwsss.PackWSSSInputs')]
# Classification alone, as the published code validates: with ImageMAP and larger batches.
deit_cls_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmpretrain.ResizeEdge', scale=256, edge='short', interpolation='bicubic', backend='pillow'),
    dict(type='mmpretrain.CenterCrop', crop_size=crop_size),
    dict(type='PackWSSSInputs')
]
