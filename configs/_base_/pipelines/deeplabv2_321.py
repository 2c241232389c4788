# DeepLab-V2's augmentation, as in its PyTorch port: images are scaled as floating point numbers, by one of five
# factors, then padded at the right and bottom with the mean color (in the order BGR) and label 255, cropped, and
# mirrored.
deeplabv2_train_pipeline = [
    dict(type='LoadImageFromFile', to_float32=True),
    dict(type='LoadAnnotations'),
    dict(type='RandomScale', ratios=(0.5, 0.75, 1.0, 1.25, 1.5), backend='cv2', seg_backend='pillow'),
    dict(
        type='RandomPlaceCrop',
        crop_size=321,
        pad_value=(104.008, 116.669, 122.675),
        seg_pad_value=255,
        placement='top-left'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackWSSSInputs')
]
