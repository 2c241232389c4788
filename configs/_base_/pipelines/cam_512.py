# A random long side, a mirror image, and a crop; what the image does not cover is the mean color.
crop_size = 512
cam_train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResize', scale=(640, 640), ratio_range=(0.5, 641 / 640), keep_ratio=True, interpolation='bicubic',
         backend='pillow'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomPlaceCrop', crop_size=crop_size, pad_value=(103.53, 116.28, 123.675)),
    dict(type='PackWSSSInputs')
]
# CAMs are evaluated at the original size of the images, with batch size 1.
cam_val_pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='mmwsss.PackWSSSInputs')]
