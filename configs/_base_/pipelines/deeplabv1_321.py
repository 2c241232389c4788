# MCTformer's augmentation of its second stage. Four consecutive images, a batch of its code, share a scale. Images are
# scaled as floating point numbers. Crops smaller than 321 x 321 lie at the top left; the padding has the mean color (in
# the order BGR) and is labeled as background.
deeplabv1_train_pipeline = [
    dict(type='LoadImageFromFile', to_float32=True),
    dict(type='LoadAnnotations'),
    dict(type='RandomScale', ratio_range=(0.7, 1.3), backend='cv2', group_size=4),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomPlaceCrop',
        crop_size=321,
        pad_value=(103.53, 116.28, 123.675),
        seg_pad_value=0,
        placement='top-left',
        reach_end=False),
    dict(type='PackWSSSInputs')
]
