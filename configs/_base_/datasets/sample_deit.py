# The sample set as DeiT-based classifiers train on it; CAMs are evaluated at the images' own size.
_base_ = ['./sample.py', '../pipelines/deit_224.py']
crop_size = 112
# No RandAugment, because the training is short. Objects are smaller than on ImageNet, so crops are larger.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmpretrain.RandomResizedCrop', scale=crop_size, crop_ratio_range=(0.4, 1.0), interpolation='bicubic',
         backend='pillow'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackWSSSInputs')
]
train_dataloader = dict(
    batch_size=8, drop_last=True, sampler=dict(type='EpochSampler'), dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.deit_val_pipeline))
test_dataloader = val_dataloader
