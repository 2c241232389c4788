# TransCAM's augmentation: a random long side, a mirror image, colours, and a crop on a canvas of the mean colour.
crop_size = 512
transcam_train_pipeline = [
    dict(type='LoadImageFromFile'),
    # The long side is a whole number, each from 320 to 640 equally likely.
    dict(
        type='RandomResize',
        scale=(640, 640),
        ratio_range=(0.5, 641 / 640),
        keep_ratio=True,
        interpolation='bicubic',
        backend='pillow'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmpretrain.ColorJitter', brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1),
    # Mean colour in the order of the image, BGR: zero after normalisation.
    dict(type='RandomPlaceCrop', crop_size=crop_size, pad_value=(103.53, 116.28, 123.675)),
    dict(type='PackWSSSInputs')
]
