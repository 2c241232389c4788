# DeepLab-V2's augmentation. The preprocessor pads crops that are smaller than 321 x 321.
deeplabv2_train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(
        type='RandomChoice',
        transforms=[[dict(type='Resize', scale_factor=ratio, keep_ratio=True)] for ratio in (.5, .75, 1., 1.25, 1.5)]),
    dict(type='RandomCrop', crop_size=(321, 321)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackWSSSInputs')
]
