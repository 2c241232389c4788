# ToCo's views: the main image, a second global view, and the image from which local views are cropped.
crop_size = 448
toco_color_jitter = dict(
    type='RandomApply',
    prob=0.8,
    transforms=[dict(type='mmpretrain.ColorJitter', brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1)])
toco_grayscale = dict(type='RandomGrayscale', prob=0.2, keep_channels=True, channel_weights=(0.114, 0.587, 0.299))
# The blur radius is drawn uniformly from magnitude_range.
toco_blur = dict(
    type='mmpretrain.GaussianBlur',
    magnitude_level=10,
    magnitude_std='inf',
    magnitude_range=(0.1, 2.0))
toco_solarize = dict(type='mmpretrain.Solarize', thr=128, prob=0.2)
toco_views = dict(
    type='ToCoViews',
    crop_size=crop_size,
    scale_range=(0.5, 2.0),
    area_range=(0.4, 1.0),
    main=[toco_color_jitter, toco_grayscale, dict(toco_blur, prob=1.0)],
    local=[toco_color_jitter, toco_grayscale, dict(toco_blur, prob=0.5)],
    global2=[toco_color_jitter, toco_grayscale, dict(toco_blur, prob=0.1), toco_solarize],
    flip_box=False,
    register_local_view=False)
toco_train_pipeline = [dict(type='LoadImageFromFile'), toco_views, dict(type='PackWSSSInputs')]
# The published evaluation resizes every image to a square without keeping its aspect ratio, and without rounding to
# whole levels.
toco_val_pipeline = [
    dict(type='LoadImageFromFile', to_float32=True),
    dict(type='Resize', scale=(crop_size, crop_size), keep_ratio=False),
    dict(type='LoadAnnotations'),
    dict(type='mmwsss.PackWSSSInputs')
]
