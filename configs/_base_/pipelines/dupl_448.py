# DuPL's views: ToCo's main image, mirrored with its valid region, and the same pixels in strongly changed colors.
_base_ = './toco_448.py'
# Five of these changes one after the other, each at the strength 10 of 30. Ranges are those of RandAugment, where 1 is
# the unchanged image, minus 1.
_enhance = dict(magnitude_range=(-0.9, 0.9), prob=1.0, random_negative_prob=0.0)
dupl_strong_colors = dict(
    type='mmpretrain.RandAugment',
    num_policies=5,
    magnitude_level=10,
    total_level=30,
    policies=[
        dict(type='mmpretrain.AutoContrast', prob=1.0),
        dict(type='mmpretrain.Equalize', prob=1.0),
        dict(type='mmpretrain.Posterize', magnitude_range=(0, 6), prob=1.0),
        dict(type='mmpretrain.ColorTransform', **_enhance),
        dict(type='mmpretrain.Contrast', **_enhance),
        dict(type='mmpretrain.Brightness', **_enhance),
        dict(type='mmpretrain.Sharpness', **_enhance)
    ])
dupl_train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomScale', ratio_range=(0.5, 2.0)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomPlaceCrop', crop_size=_base_.crop_size), _base_.toco_color_jitter, _base_.toco_grayscale,
    dict(_base_.toco_blur, prob=1.0),
    dict(type='AddViews', perturbed=[dupl_strong_colors]),
    dict(type='PackWSSSInputs')
]
# As published for COCO, the crop is mirrored once more, without its valid region.
dupl_coco_train_pipeline = [
    *dupl_train_pipeline[:4], dict(type='RandomFlip', prob=0.5), *dupl_train_pipeline[4:]
]
