# AReAM's augmentation: a random scale, a horizontal flip, color jitter, and a crop whose region without padding is
# recorded.
crop_size = 448
aream_scale = dict(type='RandomScale', ratio_range=(0.5, 2.0), interpolation='bicubic')
aream_flip = dict(type='RandomFlip', prob=0.5)
aream_color_jitter = dict(
    type='RandomApply',
    prob=0.8,
    transforms=[dict(type='mmpretrain.ColorJitter', brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1)])
aream_crop = dict(type='RandomPlaceCrop', crop_size=crop_size)
aream_train_pipeline = [
    dict(type='LoadImageFromFile'), aream_scale, aream_flip, aream_color_jitter, aream_crop,
    dict(type='PackWSSSInputs')
]
# CAMs are evaluated at the original size of the images, with batch size 1.
aream_val_pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='mmwsss.PackWSSSInputs')]
