# MCTformer's augmentation of its second stage. Its code draws one factor for all images of a batch, here each has its
# own. The preprocessor pads crops that are smaller than 321 x 321.
deeplabv1_train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomScale', ratio_range=(0.7, 1.3), interpolation='bilinear', backend='cv2'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomCrop', crop_size=(321, 321)),
    dict(type='PackWSSSInputs')
]
