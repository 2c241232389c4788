# Small crops, so that an epoch of a few hundred photographs takes minutes on one core.
photos_crop_size = 168
photos_train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='mmpretrain.RandomResizedCrop',
        scale=photos_crop_size,
        crop_ratio_range=(0.4, 1.0),
        interpolation='bicubic',
        backend='pillow'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackWSSSInputs')
]
# The short side becomes 224 pixels, the long side at most three times as long. Masks keep their size.
photos_val_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(672, 224), keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='mmwsss.PackWSSSInputs')
]
