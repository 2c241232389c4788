# TransCAM's augmentation: a random long side, a horizontal flip, color jitter, and a crop padded with the mean color.
crop_size = 512
# The long side is an integer from 320 to 640; all are equally likely.
transcam_resize = dict(
    type='RandomResize',
    scale=(640, 640),
    ratio_range=(0.5, 641 / 640),
    keep_ratio=True,
    interpolation='bicubic',
    backend='pillow')
transcam_flip = dict(type='RandomFlip', prob=0.5)
transcam_color_jitter = dict(type='mmpretrain.ColorJitter', brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1)
# The mean color in the channel order of the image, BGR. It is zero after normalization.
transcam_crop = dict(type='RandomPlaceCrop', crop_size=crop_size, pad_value=(103.53, 116.28, 123.675))
transcam_train_pipeline = [
    dict(type='LoadImageFromFile'), transcam_resize, transcam_flip, transcam_color_jitter, transcam_crop,
    dict(type='PackWSSSInputs')
]
